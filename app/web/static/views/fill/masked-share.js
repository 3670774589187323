// A share of a text's tokens, masked together: the truth, the prediction and the rank of the truth for each.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { percent } from "../../core/format.js";
import { html, useEffect } from "../../core/html.js";
import { Button, Details, Slider, Switch } from "../../ui/controls.js";
import { Icon } from "../../ui/icons.js";
import { Snippets } from "../../ui/snippets.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { piecesOf, rowsOf } from "./groups.js";
import * as state from "./state.js";
import { shown } from "./words.js";

const TYPING = 350; // ms
const answer = latest();

/** filled: the text with its masks filled; null while the model has not answered for them. */
export function MaskedShare({ model, filled }) {
  const text = state.masks.value.some((mask) => mask.literal) ? filled : state.text.value;
  const { ratio, seed, wholeWords } = state.share.value;
  const mask = { ratio, seed, whole_words: wholeWords };
  const request = { path: "/v1/fill-mask", body: { model: model.id, input: text, mask, top_k: 1 } };
  const key = JSON.stringify(request);
  const run = (delay) =>
    answer.run(async (signal) => {
      const { masked } = (await ask(request.path, request.body, { signal })).data[0];
      return { key, text, masked };
    }, delay);
  useEffect(() => {
    if (text?.trim()) run(answer.value.peek() ? TYPING : 0);
    else answer.clear();
  }, [key]);
  if (text === null)
    return html`<p class="muted">
      The text has masks that are not filled yet: see “Mask ${state.unit.value}s” first.</p>`;
  if (!text.trim()) return html`<p class="muted">Type a text above to begin.</p>`;
  const found = answer.error.value ? null : answer.value.value;
  const isCurrent = found?.key === key;
  return html`<div class="stack masked-share" aria-busy=${!isCurrent && !answer.error.value}>
    <p class="muted">A share of the tokens is masked at random, all together, as in training.</p>
    <${Controls} />
    ${answer.error.value && html`<${ErrorNote} error=${answer.error.value} retry=${() => run(0)} />`}
    ${answer.pending.value && !found && html`<${Waiting}>Asking the model…<//>`}
    ${
      found &&
      html`<div class=${`stack ${isCurrent ? "" : "stale"}`}><${Figure} found=${found} />
        <${Ranks} rows=${rowsOf(found.masked)} /></div>
        <${Details} summary="This request as code"><${Snippets} request=${request} /><//>`
    }
  </div>`;
}

function Controls() {
  const { ratio, seed, wholeWords } = state.share.value;
  const set = (change) => (state.share.value = { ...state.share.value, ...change });
  return html`<div class="field-grid">
    <${Slider} label="Masked share" min=${0.05} max=${0.95} step=${0.05} value=${ratio}
      show=${(value) => `${Math.round(value * 100)}%`} onInput=${(next) => set({ ratio: next })} />
    <div class="row"><${Switch} label="Whole words" checked=${wholeWords}
      onChange=${(next) => set({ wholeWords: next })} />
      <${Button} class="small" icon="refresh" onClick=${() => set({ seed: seed + 1 })}>Another mask<//></div>
  </div>`;
}

/** The text with masks, and below it the text with the predictions. */
function Figure({ found: { text, masked } }) {
  const pieces = piecesOf(text, masked);
  return html`<div class="figure">
    <p class="running-text" aria-label="With masks">${pieces.map(({ text: own, group }) =>
      group ? html`<span class="word masked" title=${own}>${shown(own)}</span>` : own,
    )}</p>
    <div class="figure-arrow"><${Icon} name="down" /></div>
    <p class="running-text" aria-label="With the model’s predictions">${pieces.map(({ text: own, group }) =>
      group
        ? html`<span class=${`word ${group.isRight ? "predicted" : "missed"}`}>${shown(group.prediction)}</span>`
        : own,
    )}</p>
  </div>`;
}

function Ranks({ rows }) {
  const ranks = rows.flatMap((row) => row.ranks);
  const right = ranks.filter((rank) => rank === 1).length;
  return html`<section class="panel stack" aria-label="Truth and prediction">
    <p role="status">${right} of ${ranks.length} masked tokens are the model’s first choice.</p>
    <div class="table-scroll" tabindex="0" role="region" aria-label="Truth, prediction and rank"><table>
      <thead><tr><th scope="col">Truth</th><th scope="col">Prediction</th>
        <th scope="col" class="number">Rank of the truth</th>
        <th scope="col" class="number">Probability of the truth</th></tr></thead>
      <tbody>${rows.map(
        (row) => html`<tr key=${row.start}><th scope="row">${shown(row.truth)}</th><td>${shown(row.prediction)}</td>
        <td class="number">${row.ranks.join(", ")}</td><td class="number">${percent(row.share)}</td></tr>`,
      )}</tbody></table></div>
    <p class="small muted">
      A rank is among the whole vocabulary. A word of several tokens has a rank for each, and the product of their
      probabilities.</p>
  </section>`;
}
