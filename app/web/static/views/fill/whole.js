// The words of a text, each masked in turn and coloured by its probability.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { number, percent } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { Button, Details } from "../../ui/controls.js";
import { Snippets } from "../../ui/snippets.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Bar } from "./candidates.js";
import * as state from "./state.js";
import { shown, spansOfTokens, split, tail, unitsOf } from "./words.js";

const TYPING = 350;
// The least probability of each level, from the worst understood to the best.
const LEVELS = [
  [0, "less than 0.1%"],
  [0.001, "0.1%"],
  [0.01, "1%"],
  [0.1, "10%"],
  [0.4, "40%"],
  [0.8, "80%"],
];
const level = (share) => LEVELS.findLastIndex(([least]) => share >= least);

const explanation = (unit) =>
  `Each ${unit} is masked in turn, and coloured by the probability that the model gives to it: green is probable. ` +
  `Choose a ${unit} to see the model's other candidates.`;

const answer = latest();

/** filled: the text with its masks filled; null while the model has not answered for them. */
export function WholeText({ model, filled }) {
  const chosen = useSignal(null);
  const text = state.masks.value.some((mask) => mask.literal) ? filled : state.text.value;
  const request = { path: "/v1/score", body: { model: model.id, input: text, top_k: 5 } };
  const run = (delay) =>
    answer.run(async (signal) => {
      const score = (await ask(request.path, request.body, { signal })).data[0];
      return { text, model: model.id, score };
    }, delay);
  useEffect(() => {
    if (text?.trim()) run(answer.value.peek() ? TYPING : 0);
    else answer.clear();
    chosen.value = null;
  }, [model.id, text]);
  if (text === null)
    return html`<p class="muted">
      The text has masks that are not filled yet: see “Mask ${state.unit.value}s” first.</p>`;
  if (!text.trim()) return html`<p class="muted">Type a text above to begin.</p>`;
  const found = answer.value.value;
  const current = found?.text === text && found.model === model.id; // else its colours are those of another text
  const scored = current ? { ...found, words: judge(found) } : null;
  return html`<div class="stack" aria-busy=${answer.pending.value}>
    <p class="muted">
      ${explanation(state.unit.value)}</p>
    ${answer.error.value && html`<${ErrorNote} error=${answer.error.value} retry=${() => run(0)} />`}
    ${answer.pending.value && !scored && html`<${Waiting}>Masking one ${state.unit.value} after the other…<//>`}
    ${!scored && html`<${Unscored} text=${text} />`}
    ${
      scored &&
      html`
      <${Scored} scored=${scored} chosen=${chosen.value} choose=${(next) => (chosen.value = next)}
        stale=${answer.pending.value} />
      <${Legend} />
      <div class="columns">
        <${Chosen} word=${scored.words[chosen.value]} />
        <${Summary} score=${scored.score} words=${scored.words} />
      </div>
      <${Details} summary="This request as code"><${Snippets} request=${request} /><//>`
    }
  </div>`;
}

/** The words of a scored text: {…word, share, rank, candidates}; those that the model did not read have no share. */
function judge({ text, score }) {
  const unit = unitsOf(text);
  const division = state.division.peek() && { spans: spansOfTokens(text, score.tokens), exact: true };
  return split(text, division).map((word) => {
    const tokens = score.tokens.filter(
      (token) => token.start !== null && unit[token.start] >= word.start && unit[token.end] <= word.end,
    );
    if (!tokens.length) return { ...word, share: null };
    const logProb = tokens.reduce((sum, token) => sum + token.log_prob, 0);
    return {
      ...word,
      share: Math.exp(logProb),
      pieces: tokens.length,
      rank: tokens[0].rank,
      candidates: tokens[0].candidates ?? [],
    };
  });
}

/** The text without colours, while the model has not scored it. */
function Unscored({ text }) {
  const words = text === state.text.value ? state.words.value : split(text);
  return html`<div class=${`sentence scored unscored ${state.unit.value}s`}>${words.map(
    (word) => html`<span class="unit" key=${word.index}><span class="word">${shown(word.text)}</span>
      ${(words[word.index + 1]?.before ?? tail(text, words)).trim()}</span>`,
  )}</div>`;
}

function Scored({ scored, chosen, choose, stale }) {
  const { words, text } = scored;
  return html`
    <div class=${`sentence scored ${state.unit.value}s ${stale ? "stale" : ""}`} role="group"
      aria-label=${`${state.unit.value === "token" ? "Tokens" : "Words"} by how well they were understood`}>
    ${words.map(
      (word) =>
        html`<span class="unit" key=${word.index}>${
          word.share === null
            ? html`<span class="word">${shown(word.text)}</span>`
            : html`
              <button type="button" class=${`word level-${level(word.share)}`}
                aria-pressed=${chosen === word.index ? "true" : "false"}
          aria-label=${`${shown(word.text)}: ${percent(word.share)}`}
            onClick=${() => choose(word.index === chosen ? null : word.index)}>${shown(word.text)}</button>`
        }${(words[word.index + 1]?.before ?? tail(text, words)).trim()}</span>`,
    )}
  </div>`;
}

const Legend = () => html`<div class="legend small muted" aria-label="Colours by probability" role="img">
  <span>surprising</span>${LEVELS.map(([, label], at) => html`<i class=${`level-${at}`} title=${label}></i>`)}<span>
    expected</span></div>`;

function Chosen({ word }) {
  if (!word)
    return html`<section class="panel"><h2>One ${state.unit.value}</h2><p class="muted small">
      Choose a ${state.unit.value} to see what the model expected in its place.</p></section>`;
  const mask = () => {
    if (state.words.value[word.index] && !state.words.value[word.index].literal)
      state.masked.value = { ...state.masked.value, [word.index]: true };
    state.tab.value = "fill";
  };
  const place = word.rank === 1 ? "the model’s first choice" : `choice ${number(word.rank)} of the model`;
  return html`<section class="panel stack" aria-live="polite">
    <div class="row between"><h2>${shown(word.text)}</h2><${Button} class="small" onClick=${mask}>
      Mask this ${state.unit.value}<//></div>
    <p class="small muted">${percent(word.share)}, ${place}
      ${word.pieces > 1 ? `; the model reads it as ${word.pieces} pieces, and the list is of the first` : ""}.</p>
    <ul class="candidates">${word.candidates.map(
      (each) => html`<li class="candidate plain" key=${each.token}>
      <span class="candidate-word">${shown(each.token_str)}</span><span class="candidate-share">
        ${percent(each.score)}</span>
      <${Bar} share=${each.score} /></li>`,
    )}</ul>
  </section>`;
}

function Summary({ score, words }) {
  const read = words.filter((word) => word.share !== null);
  const first = read.filter((word) => word.rank === 1).length;
  return html`<section class="panel stack"><h2>The whole text</h2><dl class="facts">
    <div><dt>Pseudo-perplexity</dt><dd>${number(score.pseudo_perplexity)}</dd></div>
    <div><dt>Log-likelihood</dt><dd>${number(score.log_likelihood)}</dd></div>
    <div><dt>First choices</dt><dd>${first} of ${read.length} ${state.unit.value}s</dd></div>
  </dl><p class="small muted">
    Pseudo-perplexity: among how many tokens, on average, the model hesitates. Lower is better.</p></section>`;
}
