// Example texts of the data that a model was trained on, read once for each version.
import { get } from "./api.js";
import { signal } from "./html.js";

const MOST = 5;
const NAME = 20; // characters of a button

/** Examples for architectures of one kind of data: human ubiquitin, and the B chain of human insulin. */
const BY_ARCHITECTURE = {
  esm: [
    protein("MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG", 12),
    protein("FVNQHLCGSHLVEALYLVCGERGFFYTPKT", 6),
  ],
};

function protein(text, at) {
  return { text, masked: `${text.slice(0, at)}[MASK]${text.slice(at + 1)}` };
}

const known = new Map(); // "name@version" → signal

/** [{text, masked}]: held-out texts of the model's job, else examples of its architecture; null until they are read. */
export function samplesOf(model) {
  const usual = BY_ARCHITECTURE[model.architecture] ?? [];
  if (model.modality !== "text" || !model.job_id) return usual;
  const id = `${model.name}@${model.version}`;
  if (!known.has(id)) {
    const found = signal(null);
    known.set(id, found);
    get(`/v1/models/${id.split("/").map(encodeURIComponent).join("/")}/examples`).then(
      ({ data }) => (found.value = data.length ? data.slice(0, MOST) : usual),
      () => (found.value = usual),
    );
  }
  return known.get(id).value;
}

/** Examples as buttons: [{name, text}], the names being the beginnings of the texts. */
export const asExamples = (samples) =>
  samples.map(({ text, masked }) => {
    const line = text.trim().replaceAll(/\s+/g, " ");
    return { name: line.length > NAME ? `${line.slice(0, NAME - 1).trimEnd()}…` : line, text: masked };
  });
