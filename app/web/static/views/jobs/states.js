// Names of job states, and the actions that each allows.
import { duration, number } from "../../core/format.js";
import { html } from "../../core/html.js";

const ENDED = ["succeeded", "failed", "cancelled"];
export const hasEnded = (job) => ENDED.includes(job.status);

const STATES = {
  validating_files: ["Checking files", ""],
  queued: ["Queued", ""],
  running: ["Running", "accent"],
  paused: ["Paused", "warning"],
  succeeded: ["Succeeded", "accent"],
  failed: ["Failed", "danger"],
  cancelled: ["Cancelled", ""],
};

export function stateOf(job) {
  if (job.status === "running" && job.cancel_requested) return ["Cancelling", "warning"];
  if (job.status === "running" && job.pause_requested) return ["Pausing", "warning"];
  return STATES[job.status] ?? [job.status, ""];
}

export function StateBadge({ job }) {
  const [label, tone] = stateOf(job);
  return html`<span class=${`badge ${tone}`}>${label}</span>`;
}

/** One line on where a job is: "Step 40 of 60 · 1,300 tokens/s · 2 min left". */
export function whereabouts(job) {
  const { step, total_steps: total, tokens_per_second: speed, eta_seconds: left } = job.progress;
  const steps = step ? `Step ${number(step)}${total ? ` of ${number(total)}` : ""}` : null;
  if (job.status === "queued") {
    const before = job.queue_position;
    const place =
      before === 0 ? "Next in the queue" : before === null ? "Queued" : `${number(before)} before it in the queue`;
    return [place, job.queue_reason, steps].filter(Boolean).join(" · ");
  }
  if (job.status === "running") {
    const parts = [steps ?? "Getting ready", speed ? `${number(Math.round(speed))} tokens/s` : null];
    if (left !== null && step && !job.cancel_requested) parts.push(`${duration(left)} left`);
    return parts.filter(Boolean).join(" · ");
  }
  if (job.status === "failed") return job.error?.message.split("\n")[0] ?? "Failed";
  if (job.status === "succeeded") return [job.fine_tuned_model, steps].filter(Boolean).join(" · ");
  return steps ?? "Not begun";
}

export function ProgressBar({ job }) {
  const share = (job.progress.percent ?? 0) / 100;
  return html`
    <progress max="1" value=${job.status === "running" && !job.progress.step ? undefined : share}
      aria-label=${`Progress of ${job.name}`}></progress>`;
}

/** The view in which to try a finished model. */
export function tryView(modality) {
  return modality === "text" ? "fill" : "reconstruct";
}
