// Conversion of the view's state to a request, and of the response to what is shown. Pure functions.
import { fieldsOf } from "./options.js";
import { isMask, rewrite, shown, written } from "./words.js";

const CANDIDATES = 6;

/**
 * The request for a text, or null if nothing is masked. The first input has every open mask; then
 * comes one for each mask that the reader has filled, with that one open: its candidates beside it.
 * options: see options.js.
 */
export function requestFor(model, text, words, masked, picks, options = {}) {
  const masks = words.filter((word) => isMask(word, masked));
  if (!masks.length) return null;
  const picked = masks.filter((mask) => picks[mask.index] !== undefined);
  const open = (except) =>
    rewrite(text, words, masked, (word) => (word.index === except ? null : (picks[word.index] ?? null)));
  const several = masks.length - picked.length > 1;
  const inputs = [...(picked.length < masks.length ? [open(null)] : []), ...picked.map((mask) => open(mask.index))];
  const input = inputs.length === 1 ? inputs[0] : inputs;
  return { path: "/v1/fill-mask", body: { model, input, top_k: CANDIDATES, ...fieldsOf(options, several) } };
}

/**
 * The answer by mask: {candidates: {index: […]}, entropies: {index: nats}, samples: {index: [word]},
 * sequences: [{share, words: {index: word}, text}]}.
 * The share of a sequence is the figure that the server ranks by: the product of the probabilities of all words, each
 * given the others.
 */
export function arrange(answer, { masks, picks }) {
  const candidates = {};
  const entropies = {};
  const samples = {};
  const take = (mask, given) => {
    candidates[mask.index] = given.candidates;
    if (given.entropy !== undefined) entropies[mask.index] = given.entropy;
    if (given.samples) samples[mask.index] = given.samples.map((each) => written(each.token_str, mask));
  };
  const openMasks = masks.filter((mask) => picks[mask.index] === undefined);
  const picked = masks.filter((mask) => picks[mask.index] !== undefined);
  const [first, rest] = openMasks.length ? [answer.data[0], answer.data.slice(1)] : [null, answer.data];
  openMasks.forEach((mask, at) => take(mask, first.masks[at]));
  picked.forEach((mask, nth) => {
    // Among the masks of its own input it stands where it stands among those that are open, and itself.
    const at = masks.filter((each) => each === mask || picks[each.index] === undefined).indexOf(mask);
    take(mask, rest[nth].masks[at]);
  });
  const sequences = (first?.sequences ?? []).map((each) => ({
    share: Math.exp(each.pseudo_log_prob),
    text: each.sequence,
    words: Object.fromEntries(openMasks.map((mask, at) => [mask.index, written(each.tokens[at].token_str, mask)])),
  }));
  return { candidates, entropies, samples, sequences, model: answer.model };
}

/**
 * What is shown now: the last answer, as far as it is about masks that are still there. `word(index)`:
 * the reader's, else the best of all masks together, else the best of this mask; null before any answer.
 */
export function standing(answer, masks, picks) {
  const candidates = Object.fromEntries(
    masks.flatMap((mask) => (answer?.candidates[mask.index] ? [[mask.index, answer.candidates[mask.index]]] : [])),
  );
  const best = answer?.sequences[0]?.words ?? {};
  const first = (mask) => (candidates[mask.index] ? written(candidates[mask.index][0].token_str, mask) : null);
  const firsts = Object.fromEntries(masks.map((mask) => [mask.index, first(mask)]));
  const word = (index) => picks[index] ?? best[index] ?? firsts[index] ?? null;
  const spoken = masks
    .map((mask, at) => `Mask ${at + 1}: ${word(mask.index) === null ? "no answer yet" : shown(word(mask.index))}`)
    .join("; ");
  return {
    masks,
    candidates,
    entropies: answer?.entropies ?? {},
    samples: answer?.samples ?? {},
    sequences: answer?.sequences ?? [],
    word,
    spoken: masks.length ? spoken : "Nothing is masked",
    text: (text, words, masked) =>
      masks.some((mask) => word(mask.index) === null) ? null : rewrite(text, words, masked, (each) => word(each.index)),
  };
}
