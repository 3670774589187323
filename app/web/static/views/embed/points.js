// The state of the projector: a table, its vectors and their projection. It is kept while other views are open.
import { ask, isAbort } from "../../core/api.js";
import { batch, computed, signal } from "../../core/html.js";
import { neighbours, project } from "./calculator.js";
import { countLabels, guessLabelColumn, guessTextColumn, readTable } from "./table.js";

const BATCH = 32; // inputs of a request
const NEAREST = 10;
const COLOURED = 5; // labels with a colour of their own

/** {name, columns, rows, left}, or null. */
export const table = signal(null);
export const textColumn = signal(0);
export const labelColumn = signal(-1); // -1: no colours
/** {points: Float32Array [n, 2], shares, rows, texts, model, size}, or null. */
export const projection = signal(null);
export const progress = signal(null); // the share of embedded texts; null: nothing is under way
export const error = signal(null);
export const chosen = signal(null); // the index of a point
export const nearest = signal([]); // [{at, cosine}] of the chosen point
export const wanted = signal(""); // what is searched for

let controller = null;

export function take(text, name) {
  const found = readTable(text, name);
  batch(() => {
    table.value = found.rows.length ? { name, ...found } : null;
    textColumn.value = found.rows.length ? guessTextColumn(found) : 0;
    labelColumn.value = found.rows.length ? guessLabelColumn(found, textColumn.value) : -1;
    error.value = null;
  });
}

/** The label of every point, and the legend: {labels, legend: [{label, count}], colourOf(label): index or -1}. */
export const colouring = computed(() => {
  const shown = projection.value;
  if (!shown || labelColumn.value < 0 || shown.rows !== table.value?.rows) return null;
  const labels = shown.rows.map((row) => row[labelColumn.value]);
  const legend = countLabels(labels, COLOURED);
  const order = new Map(legend.filter((each) => each.label !== null).map((each, at) => [each.label, at]));
  return { labels, legend, colourOf: (label) => order.get(label) ?? -1 };
});

/** Whether a search has a result at each point; null without a search. */
export const matches = computed(() => {
  const text = wanted.value.trim().toLowerCase();
  if (!text || !projection.value) return null;
  return projection.value.rows.map((row) => row.some((cell) => cell.toLowerCase().includes(text)));
});

/** Embeds the table's texts in batches and projects their vectors. */
export async function run(model) {
  controller?.abort();
  const own = (controller = new AbortController());
  const { rows } = table.value;
  const texts = rows.map((row) => row[textColumn.value]);
  batch(() => {
    progress.value = 0;
    error.value = null;
    chosen.value = null;
    nearest.value = [];
  });
  try {
    const { vectors, size, id } = await embed(model, texts, own.signal);
    const found = await project(vectors, texts.length, size);
    if (own === controller) projection.value = { ...found, rows, texts, model: id, size };
  } catch (failed) {
    if (own === controller && !isAbort(failed)) error.value = failed;
  } finally {
    if (own === controller) progress.value = null;
  }
}

export function stop() {
  controller?.abort();
  progress.value = null;
}

async function embed(model, texts, signal) {
  let vectors = null;
  let size = 0;
  let id = model.id;
  for (let at = 0; at < texts.length; at += BATCH) {
    const input = texts.slice(at, at + BATCH).map((text) => text || " ");
    const body = { model: model.id, input, truncate: true, encoding_format: "base64" };
    const answer = await ask("/v1/embeddings", body, { signal });
    const found = answer.data.map((each) => decode(each.embedding));
    id = answer.model;
    size = found[0].length;
    vectors ??= new Float32Array(texts.length * size);
    found.forEach((vector, nth) => vectors.set(vector, (at + nth) * size));
    progress.value = Math.min((at + BATCH) / texts.length, 1);
  }
  return { vectors, size, id };
}

/** base64 → Float32Array; the server sends little-endian numbers, which all browsers of today use too. */
const decode = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** Chooses a point and finds its neighbours; null chooses none. */
export async function choose(at) {
  chosen.value = at;
  nearest.value = [];
  if (at === null) return;
  const found = await neighbours(at, NEAREST);
  if (chosen.value === at) nearest.value = found;
}
