// The state of the view, kept while other views are open, and in the address.
import { signal } from "../../core/html.js";
import { route, setParams } from "../../core/router.js";

const LONGEST_SHARED = 6000; // characters; longer texts stay out of the address

export const text = signal("The quick brown fox – für Zürich 😀 c1ccccc1");
export const source = signal("model"); // or "new"
export const model = signal(null); // an id, or null for the first
/**
 * Options of a new tokenizer → what was typed.
 * @type {import("../../vendor/signals.js").Signal<Record<string, string>>}
 */
export const values = signal({});
export const sample = signal("");
export const files = signal([]); // ids of files to train on

let written = null; // the address as this view has last made it

export function read() {
  const { view, params } = route.value;
  if (view !== "tokens" || JSON.stringify(params) === written) return;
  if (params.text !== undefined) text.value = params.text;
  if (params.model) model.value = params.model;
  if (params.from) source.value = params.from === "new" ? "new" : "model";
  files.value = (params.files ?? "").split(",").filter(Boolean);
  if (params.kind) values.value = { tokenizer: params.kind };
}

export function write() {
  const params = {
    text: text.value.length <= LONGEST_SHARED ? text.value : undefined,
    from: source.value === "new" ? "new" : undefined,
    model: source.value === "model" ? model.value : undefined,
    kind: source.value === "new" ? values.value.tokenizer : undefined,
    files: files.value.join(","),
  };
  if (route.peek().view !== "tokens") return;
  setParams(params);
  written = JSON.stringify(route.peek().params);
}
