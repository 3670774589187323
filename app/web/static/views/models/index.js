// Models: the models of the store, which of them are in memory, and their origin.
import { ago, bytes, compact } from "../../core/format.js";
import { html } from "../../core/html.js";
import { info, models, modelsError, refreshModels } from "../../core/models.js";
import { link, route } from "../../core/router.js";
import { Icon } from "../../ui/icons.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { Badges } from "./badges.js";
import { Imports } from "./imports.js";
import { ModelPage } from "./page.js";

const EMPTY = "Train a model on your own files, or import one below. It is served as soon as it is there.";

export function ModelsView() {
  const id = route.value.segments.join("/");
  return html`<div class="view models">${id ? html`<${ModelPage} key=${id} id=${id} />` : html`<${List} />`}</div>`;
}

function List() {
  const all = models.value;
  const loaded = all?.filter((model) => model.loaded) ?? [];
  const memory = loaded.reduce((sum, model) => sum + (model.memory_bytes ?? 0), 0);
  const size = memory ? ` (${bytes(memory)})` : "";
  const device = info.value ? `, on ${info.value.device}` : "";
  const counted = all && `${all.length} in the store, ${loaded.length} in memory${size}${device}.`;
  return html`
    <div class="view-head"><div><h1>Models</h1>
      <p class="lead">
        ${counted ?? "What the store holds."}</p></div>
    </div>
    ${modelsError.value && html`<${ErrorNote} error=${modelsError.value} retry=${refreshModels} />`}
    ${!all && !modelsError.value && html`<${Waiting}>Looking for models…<//>`}
    ${
      all?.length === 0 &&
      html`<${Empty} title="The store is empty"
      text=${EMPTY}>
        <a class="button primary" href=${link("jobs")}>Train a model</a><//>`
    }
    ${
      all?.length > 0 &&
      html`<ul class="model-cards">
      ${all.map((model) => html`<li key=${model.name}><${Card} model=${model} /></li>`)}</ul>`
    }
    ${all && html`<${Imports} />`}`;
}

function Card({ model }) {
  return html`<a class="panel model-card" href=${link("models", [model.name])}>
    <span class="row between"><h2>${model.name}</h2><${Badges} model=${model} /></span>
    <p class="model-text">${model.description || `${model.architecture}, ${model.modality}`}</p>
    <span class="model-facts small muted"><span>${model.modality}</span><span>
      ${compact(model.parameters)} parameters</span><span>version ${model.version}</span><span>
        ${ago(model.created)}</span></span>
    <${Icon} name="chevron" />
  </a>`;
}
