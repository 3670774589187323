// The models of the store, shared by all views: fetched once, and again when something changed.
import { get } from "./api.js";
import { reconnections } from "./connection.js";
import { effect, signal, untracked } from "./html.js";

/** null until known, then the model objects, the default first. */
export const models = signal(null);

/** null, or the ApiError of the last try. */
export const modelsError = signal(null);

/** null until known, then what /info says. */
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

/** The models that can do a task ("fill-mask", "embeddings", "reconstruct"), of some modality if given. */
export function able(task, modality = null) {
  return (models.value ?? []).filter(
    (model) => model.tasks.includes(task) && (!modality || model.modality === modality),
  );
}

/** Which of `among` an address means, an older version of one included; the first one if it means none. */
export function choose(among, id) {
  const listed = among.find((model) => model.id === id || `${model.name}@${model.version}` === id);
  return listed ?? olderVersion(among, id) ?? among[0] ?? null;
}

/** The list has the latest version of each model only, and a link may name any. */
function olderVersion(among, id) {
  const [, name, number] = /^(.+)@(\d+)$/.exec(id ?? "") ?? [];
  const model = among.find((each) => each.name === name && each.versions.includes(Number(number)));
  return model && { ...model, id, version: Number(number), loaded: false };
}

effect(() => {
  reconnections.value;
  untracked(() => void refreshModels());
});
