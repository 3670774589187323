// All versions of all models, and their parents.
import { get } from "../../core/api.js";
import { models } from "../../core/models.js";

const MOST_VERSIONS = 60; // asked for one by one, so that a large store does not flood its server

export const idOf = (model) => `${model.name}@${model.version}`;
export const pathOf = (id) => `/v1/models/${id.split("/").map(encodeURIComponent).join("/")}`;

/** {"name@version": model object} of what the list has, and of older versions. */
export async function allVersions(signal) {
  const found = Object.fromEntries((models.peek() ?? []).map((model) => [idOf(model), model]));
  const older = (models.peek() ?? [])
    .flatMap((model) => model.versions.map((version) => `${model.name}@${version}`))
    .filter((id) => !found[id]);
  const answers = await Promise.allSettled(older.slice(0, MOST_VERSIONS).map((id) => get(pathOf(id), { signal })));
  for (const answer of answers) if (answer.status === "fulfilled") found[idOf(answer.value)] = answer.value;
  return found;
}

/** {before: [id…], after: [id…]}: the parents of a model, and the models that it is a parent of. */
export function relatives(model, all) {
  const id = idOf(model);
  return {
    before: model.parents,
    after: Object.values(all)
      .filter((each) => each.parents.includes(id))
      .map(idOf),
  };
}
