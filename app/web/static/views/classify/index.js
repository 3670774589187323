// Classify: labels of texts and files, with their probabilities.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { plural } from "../../core/format.js";
import { html, useSignalEffect } from "../../core/html.js";
import { askAbout, inputsOf } from "../../core/inputs.js";
import { able, choose, models, modelsError, refreshModels } from "../../core/models.js";
import { link, route } from "../../core/router.js";
import { Details, TextArea } from "../../ui/controls.js";
import { MediaInputs } from "../../ui/media-inputs.js";
import { ModelSelect } from "../../ui/model-select.js";
import { Snippets } from "../../ui/snippets.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { Bar } from "../fill/candidates.js";
import { describeCalibration, linesOf, scoreText, shareOf } from "./labels.js";
import * as state from "./state.js";

const MOST = 100; // inputs of a request
const LABELS = 8; // of an input

const answer = latest();

export function ClassifyView() {
  useSignalEffect(() => {
    route.value;
    state.read();
  });
  useSignalEffect(() => {
    route.value; // as in Fill: a link to this view names no texts
    const model = choose(able("classify"), state.model.value);
    if (model) question(model);
    state.write();
  });
  if (modelsError.value)
    return html`<div class="view"><${Head} /><${ErrorNote} error=${modelsError.value} retry=${refreshModels} /></div>`;
  if (models.value === null) return html`<div class="view"><${Head} /><${Waiting}>Looking for models…<//></div>`;
  const model = choose(able("classify"), state.model.value);
  if (!model) return html`<div class="view"><${Head} /><${NoModel} /></div>`;
  const many = inputsOf(state, model).length > MOST;
  return html`<div class="view classify">
    <${Head}>
      <${ModelSelect} models=${able("classify")} value=${model.id} onChange=${(id) => (state.model.value = id)} /><//>
    <div class="embed-layout">
      <div class="stack">
        ${
          model.modality === "text"
            ? html`<${Texts} />`
            : html`<${MediaInputs} kind=${model.modality} files=${state.files} />`
        }
        ${many && html`<p class="small muted" role="status">Only the first ${MOST} are classified.</p>`}
        <${About} model=${model} />
      </div>
      <${Results} model=${model} />
    </div>
  </div>`;
}

function Head({ children }) {
  return html`<div class="view-head"><div><h1>Classify</h1>
    <p class="lead">Label texts and files with a model that has learnt from your labels.</p></div>${children}</div>`;
}

const NoModel = () => html`
    <${Empty} title="No model classifies yet"
      text="Evaluate a model on labelled rows and publish it; the classifier appears here.">
  <a class="button primary" href=${link("evaluate")}>Evaluate a model</a><a class="button" href=${link("models")}>
    See the models</a><//>`;

const Texts = () => html`<${TextArea} label="Texts, one a line" value=${state.text.value} rows=${9} spellcheck="false"
  placeholder="Type or paste texts" onInput=${(value) => (state.text.value = value)}
  hint=${plural(state.lines.value.length, "text")} />`;

function About({ model }) {
  const { classifier } = model;
  if (!classifier) return null;
  const shown = classifier.labels.slice(0, 20).join(", ");
  const more = classifier.labels.length > 20 ? ` and ${classifier.labels.length - 20} more` : "";
  return html`<p class="small muted">${plural(classifier.labels.length, "label")}: ${shown}${more}.
    ${" "}${describeCalibration(classifier)} <a href=${link("models", [model.id])}>About this model</a></p>`;
}

const requestFor = (model, given) => ({
  path: "/v1/classify",
  body: {
    model: model.id,
    input: given,
    ...(model.classifier?.type === "tokens" ? { aggregation_strategy: "simple" } : { top_k: LABELS }),
    ...(model.modality === "text" ? { truncate: true } : {}),
  },
});

function question(model, again = false) {
  const items = inputsOf(state, model).slice(0, MOST);
  const { path, body } = requestFor(
    model,
    items.map((item) => item.input),
  );
  const send = async (signal) => {
    const given = await ask(path, body, { signal });
    if (!model.loaded) void refreshModels();
    return { items, data: given.data };
  };
  return askAbout(answer, model, items, send, again);
}

function Results({ model }) {
  const { value, error, pending } = answer;
  const shown = value.value;
  if (error.value) return html`<${ErrorNote} error=${error.value} retry=${() => question(model, true)} />`;
  if (!shown && pending.value)
    return html`<${Waiting}>${model.loaded ? "Classifying…" : `Loading ${model.id} into memory…`}<//>`;
  if (!shown)
    return html`
      <${Empty} title="Nothing to classify yet"
        text=${model.modality === "text" ? "Write a text or several, one a line." : "Add a file or several."} />`;
  const given =
    model.modality === "text" ? shown.items.map((item) => item.input) : [`data:${model.modality}/…;base64,…`];
  return html`<div class=${`stack ${pending.value ? "stale" : ""}`} aria-busy=${pending.value} aria-live="polite">
    ${shown.data.map((item, at) => html`<${Labels} key=${at} item=${item} input=${shown.items[at]} />`)}
    <${Details} summary="This request as code"><${Snippets} request=${requestFor(model, given)} /><//>
  </div>`;
}

function Labels({ item, input }) {
  const lines = linesOf(item);
  return html`<section class="panel" aria-label=${`Labels of ${input.label}`}>
    <div class="row classified">
      ${input.input.startsWith("data:image/") && html`<img class="classified-picture" src=${input.url} alt="" />`}
      <h2 class="classified-input">${input.label}</h2></div>
    ${!lines.length && html`<p class="small muted">No entities found.</p>`}
    <ul class="candidates">${lines.map(
      ({ key, name, score, standing }) => html`<li key=${key} class=${`candidate plain ${standing ? "standing" : ""}`}>
      <span class="candidate-word">${name}</span>
      <span class="candidate-share">${scoreText(item.type, score)}</span>
      ${shareOf(item.type, score) !== null && html`<${Bar} share=${score} />`}</li>`,
    )}</ul></section>`;
}
