// The metrics of listed jobs, fetched again only for jobs that have gone on.
import { get } from "../../core/api.js";
import { signal } from "../../core/html.js";
import { LISTED_METRICS } from "./runs.js";
import { JOBS } from "./watch.js";

const AT_ONCE = 4; // requests
const POINTS = 60;

/** Map of id → Map of metric → [{step, value}]. */
export const measured = signal(new Map());

const known = new Map(); // id → what was measured when its metrics were fetched

const stage = (job) => `${job.status} ${job.progress.step}`;

/** Fetches the metrics of the jobs that have changed since the last call. */
export async function measure(jobs, aborted) {
  const due = jobs.filter((job) => job.progress.step > 0 && known.get(job.id) !== stage(job));
  while (due.length) await Promise.all(due.splice(0, AT_ONCE).map((job) => read(job, aborted)));
}

async function read(job, aborted) {
  const found = await get(`${JOBS}/${job.id}/metrics?keys=${LISTED_METRICS.join(",")}&max_points=${POINTS}`, {
    signal: aborted,
  }).catch(() => null); // the job may be deleted meanwhile
  if (!found) return;
  known.set(job.id, stage(job));
  measured.value = new Map(measured.peek()).set(job.id, new Map(found.data.map(({ key, points }) => [key, points])));
}
