// The state of the projector: a table, its vectors and their projection. It is kept while other views are open.
import { ask, isAbort } from "../../core/api.js";
import { dataUri } from "../../core/download.js";
import { batch, computed, signal } from "../../core/html.js";
import { arrange, neighbours, project } from "./calculator.js";
import { batchFiles, tableOfFiles } from "./media-files.js";
import { colourLabels, guessLabelColumn, guessTextColumn, readTable } from "./table.js";

const BATCH = 32; // inputs of a request
const BATCH_BYTES = 4 * 2 ** 20; // of the files of a request, unless one alone is larger
const NEAREST = 10;
export const FEWEST = 5; // points that a layout by neighbours needs

/** {name, columns, rows, left, files: a file for each row, or undefined for texts}, or null. */
export const table = signal(null);
export const textColumn = signal(0);
export const labelColumn = signal(-1); // -1: no colours
/** {points: Float32Array [n, 2], shares: null unless by "pca", rows, texts, files, model, size}, or null. */
export const projection = signal(null);
export const layout = signal("pca"); // or "umap"
export const progress = signal(null); // {label, share}; null: nothing is under way
export const error = signal(null);
export const chosen = signal(null); // the index of a point
export const nearest = signal([]); // [{at, cosine}] of the chosen point
export const wanted = signal(""); // what is searched for

let controller = null;
let layouts = {}; // by name, of the vectors that the worker has

export const take = (text, name) => show(readTable(text, name), name);

/** Takes media files. Their names are the texts, and their folders the labels. */
export const takeFiles = (files) => show(tableOfFiles(files), "");

function show(found, name) {
  const full = found.rows.length > 0;
  batch(() => {
    table.value = full ? { name, ...found } : null;
    textColumn.value = full && !found.files ? guessTextColumn(found) : 0;
    labelColumn.value = full ? guessLabelColumn(found, textColumn.value) : -1;
    error.value = null;
  });
}

/** The colours of the labels of every point, as colourLabels gives them; null without. */
export const colouring = computed(() => {
  const shown = projection.value;
  if (!shown || labelColumn.value < 0 || shown.rows !== table.value?.rows) return null;
  const labels = shown.rows.map((row) => row[labelColumn.value]);
  return colourLabels(labels);
});

/** Whether a search has a result at each point; null without a search. */
export const matches = computed(() => {
  const text = wanted.value.trim().toLowerCase();
  if (!text || !projection.value) return null;
  return projection.value.rows.map((row) => row.some((cell) => cell.toLowerCase().includes(text)));
});

/** Embeds the table's items in batches and lays out their vectors. */
export async function run(model) {
  controller?.abort();
  const own = (controller = new AbortController());
  const { rows, files } = table.value;
  const texts = rows.map((row) => row[textColumn.value]);
  error.value = null;
  await follow(own, async (report) => {
    const batches = files ? batchFiles(files, BATCH, BATCH_BYTES) : batchTexts(texts);
    report("Embedding the items", 0);
    const { vectors, size, id } = await embed(model, batches, texts.length, own.signal, (share) =>
      report("Embedding the items", share),
    );
    if (own !== controller) return;
    const pca = await project(vectors, texts.length, size);
    // Also after a stop: the worker has these vectors now, and finds neighbours among them.
    layouts = { pca };
    batch(() => {
      chosen.value = null;
      nearest.value = [];
      projection.value = { ...pca, rows, texts, files, model: id, size };
    });
    if (own === controller) await layOut(report);
  });
}

/** Shows the points by another layout, which is computed once. */
export async function chooseLayout(next) {
  layout.value = next;
  if (!projection.value || progress.value) return; // the task that is under way reads it at its end
  const own = (controller = new AbortController());
  await follow(own, layOut);
}

async function layOut(report) {
  const of = layouts;
  if (layout.value === "umap" && projection.value.texts.length >= FEWEST) {
    report("Arranging the points by their neighbours", 0);
    of.umap ??= { points: await arrange((share) => report("Arranging the points by their neighbours", share)) };
  }
  if (of === layouts) projection.value = { ...projection.value, shares: null, ...(of[layout.value] ?? of.pca) };
}

/** Runs a task whose progress and failure are shown until another one begins. */
async function follow(own, task) {
  const current = () => own === controller;
  try {
    await task((label, share) => current() && (progress.value = { label, share }));
  } catch (failed) {
    if (current() && !isAbort(failed)) error.value = failed;
  } finally {
    if (current()) progress.value = null;
  }
}

export function stop() {
  controller?.abort();
  controller = null;
  batch(() => {
    progress.value = null;
    if (!layouts.umap) layout.value = "pca";
  });
}

/** [[inputs of a request]] */
function batchTexts(texts) {
  const inputs = texts.map((text) => text || " ");
  return Array.from({ length: Math.ceil(texts.length / BATCH) }, (_, at) => inputs.slice(at * BATCH, (at + 1) * BATCH));
}

async function embed(model, batches, count, signal, onShare) {
  let vectors = null;
  let size = 0;
  let id = model.id;
  let done = 0;
  for (const inputs of batches) {
    const input = await Promise.all(inputs.map((each) => (typeof each === "string" ? each : dataUri(each))));
    const options = model.modality === "text" ? { truncate: true } : {};
    const body = { model: model.id, input, encoding_format: "base64", ...options };
    const answer = await ask("/v1/embeddings", body, { signal });
    const found = answer.data.map((each) => decode(each.embedding));
    id = answer.model;
    size = found[0].length;
    vectors ??= new Float32Array(count * size);
    found.forEach((vector, nth) => vectors.set(vector, (done + nth) * size));
    done += found.length;
    onShare(done / count);
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
  const of = layouts;
  const found = await neighbours(at, NEAREST);
  if (chosen.value === at && of === layouts) nearest.value = found;
}
