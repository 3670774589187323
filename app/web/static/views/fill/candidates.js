// The model's candidates for each mask, and for all masks together.
import { number, percent } from "../../core/format.js";
import { html } from "../../core/html.js";
import { Button, Select } from "../../ui/controls.js";
import * as state from "./state.js";
import { shown, written } from "./words.js";

const MOST_DRAWN = 40; // words that are shown

/** readOnly: without the lengths of the masks, which another list of them has. */
export function Candidates({ filled, stale, readOnly = false }) {
  return html`<div class=${`masks ${stale ? "stale" : ""}`}>
    ${filled.masks.map(
      (mask, at) => html`
      <${Mask} key=${mask.index} mask=${mask} nth=${at + 1} filled=${filled} readOnly=${readOnly} />`,
    )}
    <${Together} filled=${filled} />
  </div>`;
}

function Mask({ mask, nth, filled, readOnly }) {
  const [candidates, entropy, samples] = [filled.candidates, filled.entropies, filled.samples].map(
    (each) => each[mask.index],
  );
  const standing = filled.word(mask.index);
  const own = state.picks.value[mask.index];
  const title = `Mask ${nth}`;
  return html`<section class="panel mask" aria-label=${title}>
    <div class="row between mask-head"><h2>${title}</h2>
      ${
        own !== undefined
          ? html`<${Button} kind="quiet" class="small" onClick=${() => state.pick(mask.index, own)}>
            Let the model choose<//>`
          : !mask.literal && html`<span class="small muted">masked: <b>${mask.text}</b></span>`
      }
    </div>
    ${
      candidates
        ? html`<ul class="candidates">
          ${candidates.map(
            (each) => html`
            <${Candidate} key=${`${each.token} ${each.token_str}`} each=${each} mask=${mask} standing=${standing}
              hit=${!mask.literal && same(each.token_str, mask)} />`,
          )}</ul>`
        : html`<div class="candidates skeleton" aria-hidden="true">
          ${[60, 38, 24, 15, 9, 5].map((width) => html`<i style=${{ width: `${width}%` }}></i>`)}</div>`
    }
    ${samples && html`<${Samples} words=${samples} mask=${mask} />`}
    ${entropy !== undefined && html`<${Entropy} nats=${entropy} />`}
    ${filled.spans && filled.masks.length === 1 && html`<p class="note-below small muted">${PER_TOKEN}</p>`}
    ${!readOnly && html`<${Length} mask=${mask} />`}
  </section>`;
}

const PER_TOKEN = "Ranked by the geometric mean of the probabilities of all tokens, since the lengths differ.";
const LENGTHS = ["1-2", "1-3", "1-4", "1-8"];

/** How many tokens a mask stands for. */
function Length({ mask }) {
  const own = mask.lengths;
  const spans = own === null || LENGTHS.includes(own) ? LENGTHS : [own, ...LENGTHS];
  const options = spans.map((each) => ({ value: each, label: `${each.replace("-", " to ")} tokens` }));
  return html`<div class="mask-length"><${Select} label="Length" value=${own ?? ""}
    options=${[{ value: "", label: "1 token" }, ...options]}
    onChange=${(next) => state.lengthen(mask, next || null)} /></div>`;
}

/** Drawn words in their order. */
function Samples({ words, mask }) {
  return html`<div class="samples"><h3>Drawn</h3><ol aria-label="Drawn">${words.slice(0, MOST_DRAWN).map(
    (word, at) => html`<li key=${at}><button type="button" class="word" onClick=${() => state.pick(mask.index, word)}>
      ${shown(word)}</button></li>`,
  )}</ol>${words.length > MOST_DRAWN && html`<p class="small muted">and ${words.length - MOST_DRAWN} more</p>`}</div>`;
}

/** How sure the model is, as the number of equally probable tokens that have the same entropy. */
function Entropy({ nats }) {
  const choices = Math.exp(nats);
  return html`<p class="entropy small muted">Entropy ${nats.toFixed(2)} nats: as unsure as among
    ${" "}${number(choices < 10 ? Number(choices.toFixed(1)) : Math.round(choices))} equally probable tokens</p>`;
}

/** Whether a token is what a mask stands for. Case counts where tokens are exact, as c and C in SMILES. */
const same = (token, mask) =>
  mask.exact ? token === mask.text : token.trim().toLowerCase() === mask.text.toLowerCase();

function Candidate({ each, mask, standing, hit }) {
  const word = written(each.token_str, mask);
  const chosen = standing === word;
  return html`<li>
    <button type="button" class=${`candidate ${chosen ? "standing" : ""}`}
      aria-pressed=${state.picks.value[mask.index] === word ? "true" : "false"}
    onClick=${() => state.pick(mask.index, word)}>
    <span class="candidate-word">${shown(word)}
      ${hit && html`<span class="hit">the original ${state.unit.value}</span>`}</span>
    ${
      each.score !== null &&
      html`<span class="candidate-share">${percent(each.score)}</span><${Bar} share=${each.score} />`
    }
  </button></li>`;
}

/** A probability from 0 to 100 %. All bars have this scale, so that masks, texts and models can be compared. */
export const Bar = ({ share }) => html`<span class="bar" aria-hidden="true">
  <i style=${{ width: `${Math.max(share * 100, 0.5)}%` }}></i></span>`;

/** Joint fillings, best first, shown only if several masks are open. */
function Together({ filled }) {
  const [best] = filled.sequences;
  const isOpen = (mask) => filled.spans || state.picks.value[mask.index] === undefined;
  const open = best ? filled.masks.filter((mask) => best.words[mask.index] !== undefined && isOpen(mask)) : [];
  if (open.length < 2) return null;
  const take = (sequence) => (state.picks.value = { ...state.picks.value, ...sequence.words });
  return html`<section class="panel mask together" aria-label="All masks together">
    <div class="row between mask-head"><h2>Together</h2><span class="small muted">all masks at once</span></div>
    <ol class="sequences">
      ${filled.sequences.map(
        (
          sequence,
        ) => html`<li key=${sequence.text}><button type="button" class="sequence" onClick=${() => take(sequence)}>
        <span class="sequence-words">
          ${open.map((mask) => html`<span class="word predicted">${shown(sequence.words[mask.index] ?? "")}</span>`)}
            </span>
        <span class="candidate-share">${percent(sequence.share)}</span>
      </button></li>`,
      )}
    </ol>
    <p class="note-below small muted">${
      filled.spans
        ? PER_TOKEN
        : `Ranked by the product of the probabilities of all ${state.unit.value}s, each given the others.`
    }</p>
  </section>`;
}
