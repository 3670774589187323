// The figure: the text with masked words in grey, and below it the text with the model's words in green.
import { html } from "../../core/html.js";
import { Icon } from "../../ui/icons.js";
import * as state from "./state.js";
import { isMask, shown, tail } from "./words.js";

const MOST = 1500; // words that are shown; no model of today reads more, and each is a button

export function Sentences({ filled, asking }) {
  const words = state.words.value.slice(0, MOST);
  const masked = state.masked.value;
  const end = tail(state.text.value, words);
  return html`<div class="figure">
    <div class=${`sentence ${state.unit.value}s`} role="group"
      aria-label=${state.unit.value === "token" ? "Tokens to mask" : "Words to mask"}>
      ${words.map(
        (word) => html`
        <${Maskable} key=${word.index} word=${word} masked=${isMask(word, masked)} standing=${filled.word(word.index)}
          after=${after(words, word, end)} />`,
      )}
    </div>
    ${
      state.words.value.length > MOST &&
      html`<p class="small muted">Only the first ${MOST} ${state.unit.value}s are shown.</p>`
    }
    ${
      filled.masks.length > 0 &&
      html`
      <div class="figure-arrow"><${Icon} name="down" /></div>
      <p class=${`sentence ${state.unit.value}s ${asking ? "stale" : ""}`}
        aria-label=${`With the model’s ${state.unit.value}s`}>
        ${words.map(
          (word) => html`
          <${Shown} key=${word.index} word=${word} masked=${isMask(word, masked)} filled=${filled}
            after=${after(words, word, end)} />`,
        )}
      </p>`
    }
  </div>`;
}

/** The text between a word and the next one, without spaces: these are the gaps between chips. */
const after = (words, word, end) => (words[word.index + 1]?.before ?? end).trim();

/** A word in the name of its button. Tokens repeat, so their places tell them apart. */
const named = (word) => (word.exact ? `${shown(word.text)} at ${word.index + 1}` : word.text);

function Maskable({ word, masked, standing, after }) {
  const name = word.literal
    ? `Mask${standing ? `; take “${shown(standing)}”` : ""}`
    : masked
      ? `${named(word)}, masked; show it`
      : `${named(word)}; mask it`;
  return html`<span class="unit">
    <button type="button" class=${`word ${masked ? "masked" : ""}`} aria-pressed=${masked ? "true" : "false"}
    aria-label=${name} title=${masked && !word.literal ? word.text : undefined}
      onClick=${() => state.toggle(word, standing)}>
      ${word.literal ? "mask" : shown(word.text)}</button>${after}</span>`;
}

function Shown({ word, masked, filled, after }) {
  if (!masked) return html`<span class="unit"><span class="word">${shown(word.text)}</span>${after}</span>`;
  const standing = filled.word(word.index);
  const own = state.picks.value[word.index] !== undefined;
  return html`<span class="unit">
    <span class=${`word ${standing === null ? "masked" : "predicted"} ${own ? "own" : ""}`}>
      ${standing === null ? "mask" : shown(standing)}</span>${after}</span>`;
}
