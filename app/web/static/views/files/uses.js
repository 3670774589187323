// Who uses which file, from the records of jobs. Pure functions.
import { hasEnded } from "../jobs/states.js";

/** The ids of the files that a job reads, those held out included. */
const filesOf = (job) => [
  ...(job.training_files ?? []).map((file) => file.id ?? file),
  ...[job.validation_file, job.file].filter(Boolean),
];

/** Map of file id → [{id, name, model, ended}], the newest job first. jobs: of all kinds, the newest first. */
export function usesOf(jobs) {
  const uses = new Map();
  for (const job of jobs)
    for (const file of filesOf(job)) {
      const use = { id: job.id, name: job.name, model: job.fine_tuned_model ?? null, ended: hasEnded(job) };
      uses.set(file, [...(uses.get(file) ?? []), use]);
    }
  return uses;
}

/** Whether a file has every word of a search in its name, its id, or the names of what uses it. */
export function matches(file, uses, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const own = [file.filename, file.id, ...uses.flatMap(({ id, name, model }) => [id, name, model ?? ""])];
  const text = own.join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}
