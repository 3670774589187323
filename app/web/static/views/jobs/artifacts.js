// Names of a job's artifacts.

/** The step in an artifact's name: 300 of "step-000000300.png". */
export const stepOf = (name) => Number(/(\d+)\.\w+$/.exec(name)?.[1] ?? 0);

/** Artifacts that are texts' predictions, and the others, which are pictures. */
export function byKind(names) {
  return {
    predictions: names.filter((name) => name.endsWith(".json")),
    pictures: names.filter((name) => !name.endsWith(".json")),
  };
}
