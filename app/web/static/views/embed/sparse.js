// The sparse vector of each text, as bars: the terms of the vocabulary that the model finds in it, with their weights.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { plural } from "../../core/format.js";
import { html, useSignalEffect } from "../../core/html.js";
import { askAbout, inputsOf } from "../../core/inputs.js";
import { Details, TextArea } from "../../ui/controls.js";
import { Snippets } from "../../ui/snippets.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { shown } from "../fill/words.js";
import * as state from "./state.js";
import { barsOf } from "./vectors.js";

const MOST_TEXTS = 12;
const MOST_TERMS = 16;

const answer = latest();

/** Whether a model makes sparse vectors: its masked-LM head does. */
export const isSparse = (model) => model.modality === "text" && model.tasks.includes("fill-mask");

const requestFor = (model, items) => ({
  path: "/v1/embeddings",
  body: { model: model.id, input: items.map((item) => item.input), output: "sparse", top_k: MOST_TERMS },
});

function question(model, again = false) {
  const items = inputsOf(state, model).slice(0, MOST_TEXTS);
  const { path, body } = requestFor(model, items);
  const send = async (signal) => {
    const { data } = await ask(path, body, { signal });
    return { items, bars: barsOf(data.map((each) => each.embedding)) };
  };
  return askAbout(answer, model, items, send, again);
}

export function SparseTerms({ model }) {
  useSignalEffect(() => void question(model));
  return html`<div class="embed-layout">
    <div class="stack">
      <${TextArea} label="Texts, one a line" value=${state.text.value} rows=${9} spellcheck="false"
        onInput=${(value) => (state.text.value = value)} hint=${plural(state.lines.value.length, "text")} />
      <p class="small muted">
        Terms of the vocabulary with their weights by SPLADE. They say little for a model that was not trained for
        sparse vectors.</p>
      ${
        state.lines.value.length > MOST_TEXTS &&
        html`<p class="small muted" role="status">Only the first ${MOST_TEXTS} are shown.</p>`
      }
    </div>
    <${Terms} model=${model} />
  </div>`;
}

function Terms({ model }) {
  const { value, error, pending } = answer;
  const found = value.value;
  if (error.value) return html`<${ErrorNote} error=${error.value} retry=${() => question(model, true)} />`;
  if (!found && pending.value) return html`<${Waiting}>Embedding…<//>`;
  if (!found) return html`<${Empty} title="No text yet" text="Write a text or more, one a line." />`;
  return html`<div class=${`stack ${pending.value ? "stale" : ""}`} aria-busy=${pending.value}>
    <div class="masks">${found.items.map(
      ({ label }, at) => html`<section class="panel stack" key=${at} aria-label=${label}>
        <h2 class="terms-title">${label}</h2>
        ${found.bars[at].length === 0 && html`<p class="small muted">No term has a weight above 0.</p>`}
        <ol class="candidates">${found.bars[at].map(
          (bar) => html`<li class="candidate plain" key=${bar.index}>
          <span class="candidate-word">${shown(bar.token)}</span>
          <span class="candidate-share">${bar.value.toFixed(2)}</span>
          <span class="bar" aria-hidden="true"><i style=${{ width: `${bar.share * 100}%` }}></i></span></li>`,
        )}</ol></section>`,
    )}</div>
    <${Details} summary="This request as code"><${Snippets} request=${requestFor(model, found.items)} /><//>
  </div>`;
}
