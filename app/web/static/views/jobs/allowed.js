// Which action a job's state allows. The table repeats ACTIONS of app/jobs/spec.py; a test compares both.
const ALLOWED = {
  cancel: ["validating_files", "queued", "running", "paused", "cancelling"],
  pause: ["queued", "running", "paused"],
  resume: ["running", "paused"],
  retry: ["failed", "cancelled"],
  extend: ["succeeded"],
  prioritise: ["validating_files", "queued", "running", "paused", "cancelling"],
  move: ["queued"],
  publish: ["queued", "running", "paused", "cancelling", "succeeded", "failed", "cancelled"],
  delete: ["succeeded", "failed", "cancelled"],
};

// The wire has no state for a job that is asked to stop: it runs, and says so beside.
const stateOf = (job) => (job.cancel_requested ? "cancelling" : job.status);

export const allows = (job, action) => ALLOWED[action].includes(stateOf(job));

/** The actions that the page offers: those that are allowed and would change something. */
export const can = {
  pause: (job) => allows(job, "pause") && job.status !== "paused" && !job.pause_requested,
  resume: (job) => allows(job, "resume") && (job.status === "paused" || job.pause_requested),
  cancel: (job) => allows(job, "cancel") && !job.cancel_requested,
  retry: (job) => allows(job, "retry"),
  extend: (job) => allows(job, "extend"),
  moveToFront: (job) => allows(job, "move") && job.queue_position > 0,
  delete: (job) => allows(job, "delete"),
};
