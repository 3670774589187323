// The form of a new evaluation: a labelled table, its columns, and the models.
import { change } from "../../core/api.js";
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { able } from "../../core/models.js";
import { navigate } from "../../core/router.js";
import { upload } from "../../core/upload.js";
import { Button, Details, DropZone, Select, TextField } from "../../ui/controls.js";
import { ErrorNote, Note } from "../../ui/status.js";
import { METHODS, parseCounts, SLOW_METHODS, TEXT_METHODS } from "./curves.js";

const FILES = [
  ...[".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"], // tables
  ...[".fasta", ".fas", ".fa", ".fna", ".ffn", ".faa", ".frn", ".fsa", ".mpfa", ".fastq", ".fq"], // sequences
  ...[".smi", ".smiles", ".ism", ".can"], // molecules
  ...[".zip", ".tar", ".tgz", ".txz", ".tzst", ".gz", ".xz", ".zst"],
].join(",");

const KINDS = [
  { value: "labels", label: "Few labels: how many a model saves" },
  ...Object.entries(TEXT_METHODS).map(([value, { label }]) => ({ value, label })),
];
const FIELDS = {
  text: { label: "Text column", required: true },
  pair: { label: "Second text column", required: true },
  label: { label: "Label column", required: true },
  group: { label: "Group column", hint: "A figure for each group; empty: none" },
  split: { label: "Split column", hint: "With train and test; empty: parts are drawn" },
};
const DROPPED = {
  labels: [
    "Drop a labelled table of texts, or an archive of media",
    ".csv, .jsonl, .parquet; or .zip, .tar with a folder for each class. 50 labels give a first answer",
  ],
  sts: ["Drop a table of pairs of texts", "With a number of how similar they are: .csv, .jsonl, .parquet"],
  minimal_pairs: ["Drop a table of good and bad texts", "Each pair differs in one place: .csv, .jsonl, .parquet"],
  masked_accuracy: ["Drop held-out texts", "Any file of texts that a pretraining job reads"],
};

/** The models that can do an evaluation: all but STS of the methods without labels score tokens. */
function modelsFor(kind) {
  if (kind === "labels") return able("embeddings");
  return able(kind === "sts" ? "embeddings" : "score", "text");
}

export function NewEvaluation() {
  const kind = useSignal("labels"); // or a method without training labels
  const models = modelsFor(kind.value);
  const chosen = useSignal(null); // ids; null: the first model
  const file = useSignal(null); // {id, name, progress}
  const fields = useSignal({
    text: "text",
    label: "label",
    split: "",
    pair: "",
    group: "",
    separator: "",
    counts: "1, 2, 5, 10, 50, all",
    seeds: "5",
    publish: "",
  });
  const methods = useSignal(Object.keys(METHODS).filter((method) => !SLOW_METHODS.includes(method)));
  const error = useSignal(null);
  const busy = useSignal(false);
  const sending = useRef(null); // the AbortController of the upload
  const selected = (chosen.value ?? models.slice(0, 1).map((model) => model.id)).filter((id) =>
    models.some((model) => model.id === id),
  );
  const method = TEXT_METHODS[kind.value]; // undefined with labels
  const columns = method ? Object.keys(method.columns) : ["text", "label", "split"];

  useEffect(() => () => sending.current?.abort(), []);
  const send = async ([given]) => {
    sending.current?.abort();
    const { signal } = (sending.current = new AbortController());
    error.value = null;
    file.value = { name: given.name, id: null, progress: 0 };
    try {
      const onProgress = (progress) => signal.aborted || (file.value = { ...file.value, progress });
      const stored = await upload(given, { signal, onProgress });
      file.value = { name: given.name, id: stored.id, progress: 1 };
    } catch (failed) {
      if (signal.aborted) return;
      file.value = null;
      error.value = failed;
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      const given = method ? textBody(kind.value, columns, fields.value) : labelledBody(fields.value, methods.value);
      const job = await change("POST", "/v1/evaluations", { models: selected, file: file.value.id, ...given });
      navigate("evaluate", [job.id]);
    } catch (failed) {
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  const set = (name) => (value) => (fields.value = { ...fields.value, [name]: value });
  const toggle = (list, value) => (list.includes(value) ? list.filter((each) => each !== value) : [...list, value]);

  const ask = (next) => {
    kind.value = next;
    const names = TEXT_METHODS[next]?.columns ?? { text: "text", label: "label" };
    fields.value = { ...fields.value, ...names };
  };

  if (!able("embeddings").length) return html`<${Note}>The model store has no model that gives vectors yet.<//>`;
  const [asked, hint] = DROPPED[kind.value];
  const ready = file.value?.id && selected.length > 0 && (method || methods.value.length > 0);
  return html`<form class="panel stack" aria-label="New evaluation" onSubmit=${submit}>
    <${Select} label="Measure" value=${kind.value} options=${KINDS} onChange=${ask} />
    <${DropZone} label=${file.value?.name ?? asked} accept=${method ? undefined : FILES}
      onFiles=${send} hint=${hint} />
    ${
      file.value &&
      !file.value.id &&
      html`<progress max="1" value=${file.value.progress} aria-label=${`Upload of ${file.value.name}`}></progress>`
    }
    <div class="row evaluation-fields">
      ${columns.map(
        (name) =>
          html`<${TextField} key=${name} value=${fields.value[name]} onInput=${set(name)} ...${FIELDS[name]} />`,
      )}
    </div>
    <fieldset class="evaluation-choices"><legend class="small">Models</legend>${models.map(
      (model) => html`<label key=${model.id}><input type="checkbox" checked=${selected.includes(model.id)}
        onChange=${() => (chosen.value = toggle(selected, model.id))} /> ${model.id}</label>`,
    )}</fieldset>
    ${!models.length && html`<${Note}>No model of the store can do this.<//>`}
    ${
      !method &&
      html`<${TextField} label="Publish a classifier as" value=${fields.value.publish} onInput=${set("publish")}
      placeholder="A name, such as reviews" hint="Of the best model, with all labels. Empty: only a report" />
    <${Details} summary="Labels, seeds and methods">
      <div class="stack">
        <div class="row evaluation-fields">
          <${TextField} label="Labels per class" hint="Altogether, if the labels are numbers"
            value=${fields.value.counts} onInput=${set("counts")} />
          <${TextField} label="Label separator" value=${fields.value.separator} onInput=${set("separator")}
            hint="If a cell has several labels, such as ;" />
          <${TextField} label="Seeds" type="number" min="1" max="100" value=${fields.value.seeds}
            onInput=${set("seeds")} hint="Draws of the training labels" />
        </div>
        <fieldset class="evaluation-choices"><legend class="small">Methods</legend>${Object.entries(METHODS).map(
          ([name, text]) => html`<label key=${name}><input type="checkbox" checked=${methods.value.includes(name)}
            onChange=${() => (methods.value = toggle(methods.value, name))} /> ${text}</label>`,
        )}</fieldset>
      </div>
    <//>`
    }
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    <div class="row"><${Button} kind="primary" type="submit" busy=${busy.value} disabled=${!ready}>Evaluate<//></div>
  </form>`;
}

function labelledBody({ text, label, split, separator, counts, seeds, publish }, methods) {
  return {
    text_column: text.trim(),
    label_column: label.trim(),
    ...(split.trim() ? { split_column: split.trim() } : {}),
    ...(separator.trim() ? { label_separator: separator.trim() } : {}),
    labels_per_class: parseCounts(counts),
    seeds: Number(seeds),
    methods,
    ...(publish.trim() ? { publish: publish.trim() } : {}),
  };
}

function textBody(method, columns, fields) {
  const given = columns.filter((name) => fields[name].trim()).map((name) => [`${name}_column`, fields[name].trim()]);
  return { methods: [method], ...Object.fromEntries(given) };
}
