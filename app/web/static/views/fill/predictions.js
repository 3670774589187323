// Conversion of the view's state to a request, and of the response to what is shown. Pure functions.
import { fieldsOf } from "./options.js";
import { fillings, hasSpans, masksOf, rewrite, shown, written } from "./words.js";

const CANDIDATES = 6;

/**
 * The request for a text, or null if nothing is masked. The first input has every open mask; then
 * comes one for each mask that the reader has filled, with that one open: its candidates beside it.
 * masked: see `isMask`. options: see options.js.
 */
export function requestFor(model, text, words, masked, picks, options = {}) {
  const masks = masksOf(words, masked);
  if (!masks.length) return null;
  const spans = hasSpans(rewrite(text, words, masked, () => null));
  const { open, alone } = divide(masks, picks, spans);
  const fill = (opened) => rewrite(text, words, masked, (word) => (opened(word) ? null : (picks[word.index] ?? null)));
  const isOpen = (word) => open.some((mask) => mask.index === word.index);
  const others = alone.map((mask) => fill((word) => isOpen(word) || word.index === mask.index));
  const inputs = [...(open.length ? [fill(isOpen)] : []), ...others];
  const input = inputs.length === 1 ? inputs[0] : inputs;
  const fields = fieldsOf(options, open.length > 1, spans);
  return { path: "/v1/fill-mask", body: { model, input, top_k: CANDIDATES, ...fields } };
}

/**
 * The masks that are open in the first input, and those that are open in one of their own. A text with spans is
 * answered by joint fillings only: it has one input, with all masks open where the reader has filled all of them.
 */
function divide(masks, picks, spans) {
  const open = masks.filter((mask) => picks[mask.index] === undefined);
  if (spans) return { open: open.length ? open : masks, alone: [] };
  return { open, alone: masks.filter((mask) => picks[mask.index] !== undefined) };
}

/**
 * The answer by mask: {candidates: {index: […]}, entropies: {index: nats}, samples: {index: [word]}, spans,
 * sequences: [{share, words: {index: word}, text}]}. input: of the request.
 * The share of a sequence is the figure that the server ranks by: the product of the probabilities of all words, each
 * given the others; with spans, the geometric mean over their tokens.
 */
export function arrange(answer, { masks, picks, input }) {
  const [text] = [input].flat();
  const spans = hasSpans(text);
  const { open, alone } = divide(masks, picks, spans);
  const [first, rest] = open.length ? [answer.data[0], answer.data.slice(1)] : [null, answer.data];
  const sequences = (first?.sequences ?? []).map((each) => {
    const found = fillings(each, text, open);
    return {
      share: spans ? each.score_per_token : Math.exp(each.pseudo_log_prob),
      text: each.sequence,
      words: Object.fromEntries(open.map((mask, at) => [mask.index, found[at]])),
    };
  });
  const given = spans ? [] : open.map((mask, at) => [mask, first.masks[at]]);
  alone.forEach((mask, nth) => {
    // Among the masks of its own input it stands where it stands among those that are open, and itself.
    const at = masks.filter((each) => each === mask || picks[each.index] === undefined).indexOf(mask);
    given.push([mask, rest[nth].masks[at]]);
  });
  const by = (read) =>
    Object.fromEntries(
      given.map(([mask, found]) => [mask.index, read(found, mask)]).filter(([, value]) => value !== undefined),
    );
  return {
    candidates: spans ? spanCandidates(masks, picks, sequences) : by((found) => found.candidates),
    entropies: by((found) => found.entropy),
    samples: by((found, mask) => found.samples?.map((each) => written(each.token_str, mask))),
    spans,
    sequences,
    model: answer.model,
  };
}

/** The different words that joint fillings have for each mask. They have a score where there is one mask. */
function spanCandidates(masks, picks, sequences) {
  const wordsAt = ({ index }) => {
    const words = new Set(sequences.map((each) => each.words[index]).filter((word) => word !== undefined));
    return words.size || picks[index] === undefined ? [...words] : [picks[index]];
  };
  const scoreOf = (mask, word) =>
    masks.length > 1 ? null : (sequences.find((each) => each.words[mask.index] === word)?.share ?? null);
  return Object.fromEntries(
    masks.map((mask) => [
      mask.index,
      wordsAt(mask).map((word) => ({ token: null, token_str: word, score: scoreOf(mask, word) })),
    ]),
  );
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
  const first = (mask) => {
    const [best] = candidates[mask.index] ?? [];
    return best ? written(best.token_str, mask) : null;
  };
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
    spans: answer?.spans ?? false,
    sequences: answer?.sequences ?? [],
    word,
    spoken: masks.length ? spoken : "Nothing is masked",
    text: (text, words, masked) =>
      masks.some((mask) => word(mask.index) === null) ? null : rewrite(text, words, masked, (each) => word(each.index)),
  };
}
