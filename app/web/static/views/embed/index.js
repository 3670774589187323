// Embed: compares inputs by their embeddings.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { download } from "../../core/download.js";
import { number, plural } from "../../core/format.js";
import { html, useSignalEffect } from "../../core/html.js";
import { askAbout, inputsOf } from "../../core/inputs.js";
import { able, choose, models, modelsError, refreshModels } from "../../core/models.js";
import { link, route } from "../../core/router.js";
import { samplesOf } from "../../core/samples.js";
import { Button, Details, Segmented, Select, TextArea } from "../../ui/controls.js";
import { MediaInputs } from "../../ui/media-inputs.js";
import { ModelSelect } from "../../ui/model-select.js";
import { Snippets } from "../../ui/snippets.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { DocumentChunks } from "./document.js";
import { HeatMap } from "./heat-map.js";
import { Nearest } from "./nearest.js";
import { Projection } from "./projection.js";
import { Projector } from "./projector.js";
import { isSparse, SparseTerms } from "./sparse.js";
import * as state from "./state.js";
import { csv, npy, project, similarities } from "./vectors.js";

const MOST = 64; // inputs that a heat map can still show

const answer = latest();
const otherAnswer = latest();

/** The models that embed the same inputs as a model. */
const othersOf = (model) => able("embeddings", model.modality).filter((each) => each.id !== model.id);

/** The chosen model to compare with, or undefined. */
const findOther = (model) => othersOf(model).find((each) => each.id === state.other.value);

export function EmbedView() {
  useSignalEffect(() => {
    route.value;
    state.read();
  });
  useSignalEffect(() => {
    route.value; // as in Fill: a link to this view names no texts
    const model = choose(able("embeddings"), state.model.value);
    const own = model && samplesOf(model);
    if (own) state.suggest(own);
    if (model && shownTab(model) === "few") {
      question(answer, model);
      const other = findOther(model);
      if (other) question(otherAnswer, other);
    }
    state.write();
  });
  if (modelsError.value)
    return html`<div class="view"><${Head} /><${ErrorNote} error=${modelsError.value} retry=${refreshModels} /></div>`;
  if (models.value === null) return html`<div class="view"><${Head} /><${Waiting}>Looking for models…<//></div>`;
  const model = choose(able("embeddings"), state.model.value);
  if (!model) return html`<div class="view"><${Head} /><${NoModel} /></div>`;
  const many = inputsOf(state, model).length > MOST;
  return html`<div class="view embed">
    <${Head}>
      <${ModelSelect} models=${able("embeddings")} value=${model.id} onChange=${(id) => (state.model.value = id)} /><//>
    <${Segmented} label="How many" value=${shownTab(model)} onChange=${(next) => (state.tab.value = next)}
      options=${TABS.filter(({ can }) => can(model))} />
    <${Panel} model=${model} many=${many} />
  </div>`;
}

const TABS = [
  { value: "few", label: "Compare a few", can: () => true },
  { value: "document", label: "Chunks of a document", can: (model) => model.modality === "text" },
  { value: "sparse", label: "Sparse terms", can: isSparse },
  { value: "many", label: "Project thousands", can: () => true },
];

/** The chosen tab, or the first one where the model does not have that. */
const shownTab = (model) => TABS.find(({ value, can }) => value === state.tab.value && can(model))?.value ?? "few";

function Panel({ model, many }) {
  const tab = shownTab(model);
  if (tab === "many") return html`<${Projector} model=${model} />`;
  if (tab === "document") return html`<${DocumentChunks} key=${model.id} model=${model} />`;
  if (tab === "sparse") return html`<${SparseTerms} key=${model.id} model=${model} />`;
  return html`<${Comparison} model=${model} many=${many} />`;
}

function Comparison({ model, many }) {
  return html`
    <div class="embed-layout">
      <div class="stack">
        ${
          model.modality === "text"
            ? html`<${Texts} />`
            : html`<${MediaInputs} kind=${model.modality} files=${state.files} />`
        }
        ${many && html`<p class="small muted" role="status">Only the first ${MOST} are shown.</p>`}
        <${OtherModel} model=${model} />
        <${Downloads} model=${model} />
      </div>
      <${Results} model=${model} />
    </div>`;
}

function OtherModel({ model }) {
  const others = othersOf(model);
  if (!others.length) return null;
  return html`<${Select} label="Compare with" value=${findOther(model)?.id ?? ""}
    onChange=${(id) => (state.other.value = id)}
    options=${[{ value: "", label: "None" }, ...others.map((each) => ({ value: each.id, label: each.id }))]} />`;
}

function Head({ children }) {
  return html`<div class="view-head"><div><h1>Embed</h1>
    <p class="lead">Turn inputs into vectors, and see which of them the model finds alike.</p></div>${children}</div>`;
}

const NoModel = () => html`
    <${Empty} title="No model embeds yet" text="Train or import one; it appears here as soon as it is published.">
  <a class="button primary" href=${link("jobs")}>Train a model</a><a class="button" href=${link("models")}>
    See the models</a><//>`;

const Texts = () => html`<${TextArea} label="Texts, one a line" value=${state.text.value} rows=${9} spellcheck="false"
  onInput=${(value) => (state.text.value = value)} hint=${plural(state.lines.value.length, "text")} />`;

const requestFor = (model, items) => ({
  path: "/v1/embeddings",
  body: {
    model: model.id,
    input: items.map((item) => item.input),
    ...(model.modality === "text" ? { truncate: true } : {}),
  },
});

/** to: of latest(), the answer of this model. */
function question(to, model, again = false) {
  const items = inputsOf(state, model).slice(0, MOST);
  const send = async (signal) => {
    const given = await ask("/v1/embeddings", requestFor(model, items).body, { signal });
    if (!model.loaded) void refreshModels();
    const vectors = given.data.map((each) => each.embedding);
    state.pair.value = null;
    return { model: given.model, items, vectors, cosines: similarities(vectors), projection: project(vectors) };
  };
  return askAbout(to, model, items, send, again);
}

function Results({ model }) {
  const { value, error, pending } = answer;
  const shown = value.value;
  if (error.value) return html`<${ErrorNote} error=${error.value} retry=${() => question(answer, model, true)} />`;
  if (!shown && pending.value)
    return html`<${Waiting}>${model.loaded ? "Embedding…" : `Loading ${model.id} into memory…`}<//>`;
  if (!shown)
    return html`
      <${Empty} title="Nothing to compare yet"
        text=${model.modality === "text" ? "Write two texts or more, one a line." : "Add two files or more."} />`;
  const sample = requestFor(
    model,
    model.modality === "text" ? shown.items : [{ input: `data:${model.modality}/…;base64,…` }],
  );
  const other = findOther(model);
  const second = other && sameInputs(otherAnswer.value.value, shown) ? otherAnswer.value.value : null;
  return html`<div class=${`stack ${pending.value ? "stale" : ""}`} aria-busy=${pending.value}>
    <${HeatMap} items=${shown.items} cosines=${shown.cosines} model=${second && shown.model} />
    ${
      other &&
      otherAnswer.error.value &&
      html`<${ErrorNote} error=${otherAnswer.error.value} retry=${() => question(otherAnswer, other, true)} />`
    }
    ${second && html`<${HeatMap} items=${second.items} cosines=${second.cosines} model=${second.model} />`}
    <${Nearest} items=${shown.items} answers=${second ? [shown, second] : [shown]} />
    <${Projection} items=${shown.items} projection=${shown.projection} />
    <${Details} summary="This request as code"><${Snippets} request=${sample} /><//>
  </div>`;
}

/** Whether two answers are about the same inputs: one may still be on its way. */
const sameInputs = (one, two) =>
  one !== null &&
  JSON.stringify(one.items.map((each) => each.label)) === JSON.stringify(two.items.map((each) => each.label));

function Downloads() {
  const shown = answer.value.value;
  if (!shown) return null;
  const { items, vectors, model } = shown;
  const labels = items.map((item) => item.label);
  const save = {
    JSON: () =>
      download(
        "embeddings.json",
        JSON.stringify({ model, data: labels.map((input, at) => ({ input, embedding: vectors[at] })) }, null, 1),
        "application/json",
      ),
    CSV: () => download("embeddings.csv", csv(labels, vectors), "text/csv"),
    NPY: () => download("embeddings.npy", npy(vectors), "application/octet-stream"),
  };
  return html`<section aria-label="Download" class="downloads">
    <p class="small muted">
      ${plural(vectors.length, "vector")} of ${number(vectors[0].length)} dimensions, by ${model}</p>
    <div class="row">
      ${Object.entries(save).map(
        ([format, run]) => html`<${Button} class="small" icon="download" onClick=${run}>
        ${format}<//>`,
      )}</div>
  </section>`;
}
