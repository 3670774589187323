// The inputs to classify. They are kept while other views are open; texts and model are in the URL too.
import { batch, computed, signal } from "../../core/html.js";
import { route, setParams } from "../../core/router.js";

const LONGEST_SHARED = 6000; // characters

export const text = signal("");
export const model = signal(null); // an id, or null for the first
/** [{name, kind, size, uri, url}]: see MediaInputs. */
export const files = signal([]);

export const lines = computed(() =>
  text.value
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean),
);

let written = null; // the address as this view has last made it

export function read() {
  const { view, params } = route.value;
  if (view !== "classify" || JSON.stringify(params) === written) return;
  batch(() => {
    if (params.text !== undefined) text.value = params.text;
    if (params.model) model.value = params.model;
  });
}

export function write() {
  if (route.peek().view !== "classify") return;
  setParams({
    text: text.value && text.value.length <= LONGEST_SHARED ? text.value : undefined,
    model: model.value ?? undefined,
  });
  written = JSON.stringify(route.peek().params);
}
