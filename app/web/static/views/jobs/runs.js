// What tells jobs apart and finds them in a list. Pure functions.
import { stateOf } from "./states.js";

const SHORT = 6; // characters of an id

/** Names by id. Jobs of one name have the end of their id beside it: "learnt (b71268)". */
export function namesOf(jobs) {
  const counts = new Map();
  for (const { name } of jobs) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(jobs.map(({ id, name }) => [id, counts.get(name) > 1 ? `${name} (${id.slice(-SHORT)})` : name]));
}

/** The tags of a job: its metadata as "team=docs". */
export const tagsOf = (job) => Object.entries(job.metadata ?? {}).map(([key, value]) => `${key}=${value}`);

/** Whether a job has every word of a search in its name, state, tags, method, model or id. */
export function isFound(job, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const own = [job.name, job.id, stateOf(job)[0], job.status, job.method.type, job.model, job.fine_tuned_model ?? ""];
  const text = [...own, ...tagsOf(job)].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

// The first of them that a job has measured is its score.
const SCORES = [
  { key: "eval_accuracy", label: "accuracy", highest: true, show: (value) => `${(value * 100).toFixed(1)}%` },
  { key: "eval_psnr", label: "PSNR", highest: true, show: (value) => `${value.toFixed(2)} dB` },
  { key: "eval_loss", label: "loss", highest: false, show: (value) => value.toFixed(3) },
];

/** The metrics that a list needs. */
export const LISTED_METRICS = [...SCORES.map(({ key }) => key), "train_loss"];

/** The best held-out figure of a run: {label, text}, or null. series: Map of metric → [{step, value}]. */
export function scoreOf(series) {
  for (const { key, label, highest, show } of SCORES) {
    const values = (series.get(key) ?? []).map((point) => point.value);
    if (values.length) return { label, text: show(highest ? Math.max(...values) : Math.min(...values)) };
  }
  return null;
}

/** The loss to draw: held out, or of the training where it was measured less than twice. */
export function lossOf(series) {
  const heldOut = series.get("eval_loss") ?? [];
  return heldOut.length > 1 ? { label: "Held-out loss", points: heldOut } : trainingLoss(series);
}

const trainingLoss = (series) => ({ label: "Training loss", points: series.get("train_loss") ?? [] });

/** Points → the corners of a line within width × height: "0,12 40,3"; "" for fewer than two. */
export function sparkline(points, width, height) {
  if (points.length < 2) return "";
  const [xs, ys] = [points.map((point) => point.step), points.map((point) => point.value)];
  const place = (value, all, size) => {
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return high > low ? ((value - low) / (high - low)) * size : size / 2;
  };
  return points
    .map(({ step, value }) => [place(step, xs, width), height - place(value, ys, height)])
    .map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`)
    .join(" ");
}

/** Seconds that a job has run, or has been running so far; null before. */
export const secondsOf = (job, now) =>
  job.started_at ? Math.max((job.finished_at ?? Math.floor(now / 1000)) - job.started_at, 0) : null;
