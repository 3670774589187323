// A heat map of all mutations of a sequence: how much more or less probable each letter is than that of the wild type.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { download } from "../../core/download.js";
import { number } from "../../core/format.js";
import { html, signal, useEffect, useSignal } from "../../core/html.js";
import { Button, Details, Segmented, TextField } from "../../ui/controls.js";
import { Snippets } from "../../ui/snippets.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Grid, Scale } from "./mutation-grid.js";
import * as state from "./state.js";
import { alphabetOf, csvOf, gridOf, nameOf } from "./variants.js";

const TYPING = 350;
const METHODS = [
  { value: "masked-marginals", label: "Masked" },
  { value: "wild-type-marginals", label: "Wild type" },
];

const method = signal(METHODS[0].value);
const first = signal("1"); // position of the first letter, as it was typed
const given = signal(null); // letters that the reader has typed; null for those that the text suggests
const answer = latest();

export function Mutations({ model }) {
  const text = state.text.value;
  const chosen = useSignal(null); // {row, place}: it stays while the pointer moves
  const pointed = useSignal(null);
  const offset = /^\d{1,9}$/.test(first.value) ? Number(first.value) : 1;
  const letters = given.value ?? alphabetOf(text);
  const body = { model: model.id, input: text, variants: "all", letters, offset, method: method.value };
  const key = JSON.stringify(body);
  const run = (delay) =>
    answer.run(async (signal) => {
      const { variants } = (await ask("/v1/score", body, { signal })).data[0];
      return { key, grid: gridOf(text, variants, offset) };
    }, delay);
  const hasMask = state.words.value.some((word) => word.literal);
  useEffect(() => {
    chosen.value = pointed.value = null;
    if (text.trim() && !hasMask) run(answer.value.peek() ? TYPING : 0);
    else answer.clear();
  }, [key, hasMask]);
  if (hasMask) return html`<p class="muted">The text has masks. Write letters in their place to see its mutations.</p>`;
  if (!text.trim()) return html`<p class="muted">Type a sequence above to begin.</p>`;
  const found = answer.value.value;
  const grid = found && !answer.error.value ? found.grid : null;
  const isCurrent = found?.key === key;
  return html`<div class="stack" aria-busy=${answer.pending.value}>
    <p class="muted">
      Each letter is replaced by every other one. Blue: the model finds the new letter more probable than that of the
      sequence. Orange: less probable.</p>
    <${Options} letters=${letters} />
    ${answer.error.value && html`<${ErrorNote} error=${answer.error.value} retry=${() => run(0)} />`}
    ${answer.pending.value && !grid && html`<${Waiting}>Masking one letter after the other…<//>`}
    ${
      grid &&
      html`<section class=${`panel stack ${isCurrent ? "" : "stale"}`} aria-label="Mutations">
        <div class="row between"><${Scale} limit=${grid.limit} />
          <${Button} class="small" icon="download" disabled=${!isCurrent}
            onClick=${() => download("mutations.csv", csvOf(grid), "text/csv")}>Download CSV<//></div>
        <${Grid} grid=${grid} chosen=${chosen} pointed=${pointed} />
        <${Cell} grid=${grid} cell=${pointed.value ?? chosen.value} isChosen=${chosen.value} />
      </section>`
    }
    <${Details} summary="This request as code"><${Snippets} request=${{ path: "/v1/score", body }} /><//>
  </div>`;
}

const Options = ({ letters }) => html`<div class="row mutation-options">
  <${Segmented} label="Method" value=${method.value} options=${METHODS} onChange=${(next) => (method.value = next)} />
  <${TextField} label="Letters" value=${letters} spellcheck="false" placeholder="all of the vocabulary"
    onInput=${(value) => (given.value = value.replace(/\s/g, ""))} />
  <${TextField} label="First position" value=${first.value} inputmode="numeric"
    onInput=${(value) => (first.value = value)} />
</div>`;

/** The figures of the cell under the pointer, or else of the chosen one. */
function Cell({ grid, cell, isChosen }) {
  const score = cell && grid.scores[cell.row]?.[cell.place];
  if (score === undefined || !cell)
    return html`<p class="mutation muted" role="status">Point at a cell to see its figures, or click it.</p>`;
  const old = grid.wildType[cell.place];
  const position = cell.place + grid.offset;
  if (score === null)
    return html`<p class="mutation" role="status"><b>${old}${position}</b>${" "}
      <span class="muted">is the letter of the sequence.</span></p>`;
  const replace = () => {
    const { start, end } = state.words.value[cell.place];
    state.edit(state.text.value.slice(0, start) + grid.letters[cell.row] + state.text.value.slice(end));
  };
  return html`<div class="row between mutation"><p role="status"><b>${nameOf(grid, cell)}</b>${" "}
    <span>${number(score)}</span>${" "}
    <span class="muted">${grid.letters[cell.row]} is ${number(Math.exp(score))} times as probable as ${old}.</span></p>
    ${isChosen && html`<${Button} class="small" onClick=${replace}>Put it into the sequence<//>`}</div>`;
}
