// The models of the store, shared by all views. Fetched once, and again after changes.
import { get } from "./api.js";
import { reconnections } from "./connection.js";
import { effect, signal, untracked } from "./html.js";

/** The model objects, the default one first; null until loaded. */
export const models = signal(null);

/** The ApiError of the last attempt, or null. */
export const modelsError = signal(null);

/** The response of /info; null until loaded. */
export const info = signal(null);

export async function refreshModels() {
  try {
    const [list, about] = await Promise.all([get("/v1/models"), get("/info")]);
    models.value = list.data;
    info.value = about;
    modelsError.value = null;
  } catch (error) {
    modelsError.value = error;
  }
}

/** Returns the models that support a task ("fill-mask", "embeddings", "reconstruct"), of one modality if given. */
export function able(task, modality = null) {
  return (models.value ?? []).filter(
    (model) => model.tasks.includes(task) && (!modality || model.modality === modality),
  );
}

/** Returns the model of `among` that an address names, including an older version of one; else the first. */
export function choose(among, id) {
  const listed = among.find((model) => model.id === id || `${model.name}@${model.version}` === id);
  return listed ?? olderVersion(among, id) ?? among[0] ?? null;
}

/** Fetches a version that the list lacks: it has the latest version of each model only. */
function olderVersion(among, id) {
  const [, name, number] = /^(.+)@(\d+)$/.exec(id ?? "") ?? [];
  const model = among.find((each) => each.name === name && each.versions.includes(Number(number)));
  return model && { ...model, id, version: Number(number), loaded: false };
}

effect(() => {
  reconnections.value;
  untracked(() => void refreshModels());
});
