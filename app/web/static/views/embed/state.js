// The inputs to embed. They are kept while other views are open; texts and model are in the URL too.
import { batch, computed, signal } from "../../core/html.js";
import { route, setParams } from "../../core/router.js";

const EXAMPLE = [
  "Lions hunt in the open savanna.",
  "A big cat stalks its prey through the grass.",
  "Wolves chase a deer across the snow.",
  "Simmer the tomatoes with garlic and basil.",
  "Bake the bread until its crust is golden.",
  "The telescope found water on a distant planet.",
  "Astronauts repaired the space station.",
].join("\n");
const LONGEST_SHARED = 6000; // characters

export const text = signal(EXAMPLE);
export const model = signal(null);
/** The id of the model to compare with, or "". */
export const other = signal("");
const TABS = ["few", "document", "sparse", "many"]; // many: the projector
export const tab = signal("few");
/** [{name, url, uri, kind}]: files that were dropped; url shows one, uri is sent. */
export const files = signal([]);
/** The selected pair, [row, column], or null. */
export const pair = signal(null);

export const lines = computed(() =>
  text.value
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean),
);

let automatic = EXAMPLE; // the texts that the page has put there itself

/** Puts a model's own examples in the place of the page's; without any, those that are for every model. */
export function suggest(samples) {
  const next = samples.length > 1 ? samples.map((each) => each.text.replaceAll(/\s+/g, " ")).join("\n") : EXAMPLE;
  if (text.value !== automatic) return;
  automatic = next;
  text.value = next;
}

let written = null;

export function read() {
  const { view, params } = route.value;
  if (view !== "embed" || JSON.stringify(params) === written) return;
  batch(() => {
    if (params.text !== undefined) text.value = params.text;
    if (params.model) model.value = params.model;
    if (params.tab) tab.value = TABS.includes(params.tab) ? params.tab : "few";
    if (params.with !== undefined) other.value = params.with;
  });
}

export function write() {
  const params = {
    text: text.value === EXAMPLE || text.value.length > LONGEST_SHARED ? undefined : text.value,
    model: model.value ?? undefined,
    tab: tab.value === "few" ? undefined : tab.value,
    with: other.value || undefined,
  };
  if (route.peek().view !== "embed") return;
  setParams(params);
  written = JSON.stringify(route.peek().params);
}
