// Fill: masks words of a text and shows the model's predictions for them.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { html, useEffect, useSignalEffect } from "../../core/html.js";
import { able, choose, models, modelsError, refreshModels } from "../../core/models.js";
import { link, route } from "../../core/router.js";
import { asExamples, samplesOf } from "../../core/samples.js";
import { Button, Details, TextArea } from "../../ui/controls.js";
import { ModelSelect } from "../../ui/model-select.js";
import { copy, Snippets } from "../../ui/snippets.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { Tabs } from "../../ui/tabs.js";
import { Beside, BesideSelect } from "./beside.js";
import { Candidates } from "./candidates.js";
import { divide, isDivided } from "./divisions.js";
import { MaskedShare } from "./masked-share.js";
import { Mutations } from "./mutations.js";
import { Options } from "./option-fields.js";
import { optionOf } from "./options.js";
import { arrange, requestFor, standing } from "./predictions.js";
import { Sentences } from "./sentences.js";
import * as state from "./state.js";
import { isPerLetter } from "./variants.js";
import { WholeText } from "./whole.js";

const TYPING = 250; // ms without a key until the model is asked
const EXAMPLES = [
  { name: "Savanna", text: state.FOUNDING },
  { name: "Capital", text: "Tokyo is the capital of Japan and its largest city.", mask: [5] },
  { name: "Kitchen", text: "She boiled some water and drank a cup of green tea.", mask: [3, 9] },
  { name: "Voyage", text: "The ship sailed across the sea to Europe.", mask: [5, 7] },
  { name: "Match", text: "The team won the game in 1998.", mask: [1, 4] },
];

const NONE_YET =
  "Train one on your own texts, or import one with “cloze models import”. It appears here as soon as it is published.";

const answer = latest();
let askedFor = null; // the request that `answer` is of, or will be
let askedOf = null; // and the model's version
let typing = false;

export function FillView() {
  useEffect(() => void refreshIfFailed(), []);
  useSignalEffect(() => {
    route.value;
    state.read();
  });
  useSignalEffect(() => {
    const chosen = choose(able("fill-mask"), state.model.value);
    if (chosen) void divide(chosen, state.text.value, typing ? TYPING : 0);
  });
  useSignalEffect(() => {
    const chosen = choose(able("fill-mask"), state.model.value);
    route.value; // a link of the page to this view names no text: what is shown belongs into the address again
    const own = chosen && samplesOf(chosen);
    if (own) state.suggest(own[0]?.masked);
    const ready = own || !state.isUntouched(); // else the first question would be about another text
    if (chosen && ready && isDivided(chosen) && shownTab() === "fill") question(chosen);
    state.write();
  });
  if (modelsError.value)
    return html`<div class="view"><${Head} /><${ErrorNote} error=${modelsError.value} retry=${refreshModels} /></div>`;
  if (models.value === null) return html`<div class="view"><${Head} /><${Waiting}>Looking for models…<//></div>`;
  const chosen = choose(able("fill-mask"), state.model.value);
  if (!chosen) return html`<div class="view"><${Head} /><${NoModel} /></div>`;
  return html`<div class="view fill">
    <${Head}>
      <${ModelSelect} models=${able("fill-mask")} value=${chosen.id} onChange=${(id) => (state.model.value = id)} />
      <${BesideSelect} model=${chosen} /><//>
    <${Editor} own=${samplesOf(chosen)} />
    <${Tabs} label="What to see" chosen=${shownTab()} onChoose=${(tab) => (state.tab.value = tab)}
      tabs=${tabs()}>
      <${Panel} model=${chosen} />
    <//>
  </div>`;
}

/** The tabs of the text; mutations are those of a model that reads each letter as one token. */
const tabs = () => [
  { id: "fill", label: `Mask ${state.unit.value}s` },
  { id: "whole", label: "Whole text" },
  { id: "share", label: "Masked share" },
  ...(state.division.value && isPerLetter(state.words.value) ? [{ id: "mutations", label: "Mutations" }] : []),
];

/** The chosen tab, or the first one where the model does not have that. */
const shownTab = () => (tabs().some((tab) => tab.id === state.tab.value) ? state.tab.value : "fill");

function Panel({ model }) {
  const tab = shownTab();
  if (tab === "whole") return html`<${WholeText} model=${model} filled=${standingText()} />`;
  if (tab === "share") return html`<${MaskedShare} model=${model} filled=${standingText()} />`;
  if (tab === "mutations") return html`<${Mutations} model=${model} />`;
  return html`<${Filled} model=${model} />`;
}

function Head({ children }) {
  return html`<div class="view-head"><div><h1>Fill</h1>
    <p class="lead">Mask words of a text, and see what the model puts in their place.</p></div>
      <div class="row">${children}</div></div>`;
}

const NoModel = () => html`<${Empty} title="No model fills masks yet"
  text=${NONE_YET}>
  <a class="button primary" href=${link("jobs")}>Train a model</a><a class="button" href=${link("models")}>
    See the models</a><//>`;

function Editor({ own }) {
  const examples = own?.length ? asExamples(own) : EXAMPLES;
  return html`<div class="stack">
    <${TextArea} label="Text" value=${state.text.value} rows=${2} spellcheck="false"
      placeholder="Type or paste a text" onInput=${(value) => type(() => state.edit(value))}
      hint=${`Click ${state.unit.value}s below to mask them, or write [MASK] where one is missing, and [MASK:1-4] where
        one to four tokens are.`} />
    <div class="row between">
      <div class="row" role="group" aria-label="Examples"><span class="small muted">Try</span>
        ${examples.map(
          (example) => html`<${Button} class="small" onClick=${() => state.start(example)}>
          ${example.name}<//>`,
        )}
      </div>
      <${Button} kind="quiet" icon="link" onClick=${() => copy(location.href, "Link copied")}>Copy link<//>
    </div>
  </div>`;
}

function Filled({ model }) {
  const filled = predictions();
  const asking = answer.pending.value || !isDivided(model);
  const error = answer.error.value;
  if (!state.words.value.length) return html`<p class="muted">Type a text above to begin.</p>`;
  return html`<div class="stack filled" aria-busy=${asking}>
    <${Sentences} filled=${filled} asking=${asking} />
    <${Options} error=${error} onInput=${type} />
    ${error && !optionOf(error) && html`<${ErrorNote} error=${error} retry=${() => question(model, true)} />`}
    ${asking && !model.loaded && html`<${Waiting}>Loading ${model.id} into memory; the first answer takes longer…<//>`}
    ${
      state.masks.value.length === 0
        ? html`<p class="muted">
          Nothing is masked. Click a ${state.unit.value} to see what the model would put in its place.</p>`
        : html`<${Candidates} filled=${filled} stale=${asking || error} />`
    }
    <${Beside} model=${model} />
    ${askedFor && html`<${Details} summary="This request as code"><${Snippets} request=${askedFor} /><//>`}
    <p class="visually-hidden" role="status" aria-live="polite">${asking ? "" : filled.spoken}</p>
  </div>`;
}

/** Makes a change that is one of many while the reader types: the model is asked after the last one. */
function type(change) {
  typing = true;
  change();
  typing = false;
}

/** Sends the current text to the model, unless it has just been sent. */
function question(chosen, again = false) {
  const request = requestFor(
    chosen.id,
    state.text.value,
    state.words.value,
    state.masked.value,
    state.picks.value,
    state.options.value,
  );
  if (!request) {
    askedFor = null;
    return answer.clear();
  }
  if (!again && chosen.version === askedOf && JSON.stringify(request) === JSON.stringify(askedFor)) return undefined;
  askedFor = request;
  askedOf = chosen.version;
  const about = { masks: state.masks.value, picks: state.picks.value, input: request.body.input };
  return answer.run(
    async (signal) => {
      const given = await ask(request.path, request.body, { signal });
      if (!chosen.loaded) void refreshModels();
      return arrange(given, about);
    },
    typing ? TYPING : 0,
  );
}

/** What is shown of the last answer. After an error it is about another text, so nothing is. */
const predictions = () =>
  standing(answer.error.value ? null : answer.value.value, state.masks.value, state.picks.value);

/** The text with all masks filled as shown; null while some are not filled. */
function standingText() {
  const filled = predictions();
  return filled.text(state.text.value, state.words.value, state.masked.value);
}

function refreshIfFailed() {
  if (modelsError.peek()) return refreshModels();
}
