// A text as words that can be masked. Pure functions; a word is known by its index among the text's words.
//
// For a model whose tokens can be masked one by one, such as the residues of a protein, each of them is a "word".
// A division says where they are: {spans: [[start, end], …], exact}, in UTF-16 units; null stands for words of prose.
// exact: a token is written as it is, without spaces around it.

const WORD = /\[MASK(?::[^[\]]{0,32})?\]|<mask>|[\p{L}\p{N}\p{M}]+(?:['’.\-][\p{L}\p{N}\p{M}]+)*/giu;
const TYPED = /\[MASK(?::[^[\]]{0,32})?\]|<mask>/gi;
const MASK = /^(?:\[MASK(?::([^[\]]{0,32}))?\]|<mask>)$/i; // with the lengths of a span
const JOINED = "##"; // how WordPiece writes what goes on with a word

/**
 * text → [{index, text, start, end, literal, lengths, before, exact}]
 * literal: it is a mask as it was typed; lengths: "1-4" for a typed span, else null; before: what precedes it.
 */
export function split(text, division = null) {
  let last = 0;
  return (division ? withMasks(text, division.spans) : spansOf(text, WORD)).map(([start, end], index) => {
    const before = text.slice(last, start);
    const word = text.slice(start, end);
    last = end;
    const mask = MASK.exec(word);
    const lengths = mask?.[1] ?? null;
    return { index, text: word, start, end, literal: mask !== null, lengths, before, exact: Boolean(division?.exact) };
  });
}

const spansOf = (text, pattern) =>
  [...text.matchAll(pattern)].map((found) => [found.index, found.index + found[0].length]);

/** The spans and the masks that were typed, which a tokenizer may read as several tokens. */
function withMasks(text, spans) {
  const masks = spansOf(text, TYPED);
  const free = spans.filter(([start, end]) => !masks.some((mask) => start < mask[1] && mask[0] < end));
  return [...masks, ...free].sort((a, b) => a[0] - b[0]);
}

/** Offsets of all characters and of the text's end in UTF-16 units; the server counts an emoji as one character. */
export function unitsOf(text) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return units;
}

/**
 * The spans of the server's tokens. Tokens that share a character, as bytes do, are left out: no mask stands for one.
 * @param {{start: number | null, end: number | null}[]} tokens
 */
export function spansOfTokens(text, tokens) {
  const unit = unitsOf(text);
  const spans = tokens.filter(({ start, end }) => start !== null && end > start).map(({ start, end }) => [start, end]);
  const alone = spans.filter(
    ([start, end], at) => !(spans[at - 1]?.[1] > start) && !(at + 1 < spans.length && spans[at + 1][0] < end),
  );
  return alone.map(([start, end]) => [unit[start], unit[end]]);
}

/** The division after an edit, until the server has answered: what is new is divided into characters. */
export function moved(division, before, after) {
  if (!division) return null;
  const least = Math.min(before.length, after.length);
  let head = 0;
  while (head < least && before[head] === after[head]) head++;
  let same = 0;
  while (same < least - head && before.at(-1 - same) === after.at(-1 - same)) same++;
  const shift = after.length - before.length;
  const kept = division.spans.filter(([, end]) => end <= head);
  const shifted = division.spans
    .filter(([start]) => start >= before.length - same)
    .map(([start, end]) => [start + shift, end + shift]);
  const start = kept.at(-1)?.[1] ?? 0;
  const unit = unitsOf(after.slice(start, shifted[0]?.[0] ?? after.length)).map((each) => each + start);
  return { ...division, spans: [...kept, ...unit.slice(1).map((end, at) => [unit[at], end]), ...shifted] };
}

/** The text after the last word. */
export const tail = (text, words) => text.slice(words.at(-1)?.end ?? 0);

/** Whether a word is a mask: a typed one, or a masked word. masked: index → true, or the lengths of a span. */
export const isMask = (word, masked) => word.literal || masked[word.index] !== undefined;

/** The words that are masks, with their lengths. */
export const masksOf = (words, masked) =>
  words.filter((word) => isMask(word, masked)).map((word) => ({ ...word, lengths: lengthsOf(word, masked) }));

function lengthsOf(word, masked) {
  const mark = masked[word.index] ?? true;
  return word.literal || mark === true ? word.lengths : mark;
}

/** A mask as it is written. */
export const maskOf = (lengths) => (lengths === null ? "[MASK]" : `[MASK:${lengths}]`);

/** Whether the server reads a text as one with spans. */
export const hasSpans = (text) => /\[MASK:[^[\]]{0,32}\]/.test(text);

/**
 * Builds the text of a request. `fill(word)` returns the text in place of a mask, or null for a mask.
 * A piece that continues a word ("##s") is joined to the one before it.
 */
export function rewrite(text, words, masked, fill) {
  let written = "";
  for (const word of words) {
    const filling = isMask(word, masked) ? (fill(word) ?? maskOf(lengthsOf(word, masked))) : word.text;
    const joined = !word.exact && filling.startsWith(JOINED);
    written += (joined ? word.before.trimEnd() : word.before) + (joined ? filling.slice(JOINED.length) : filling);
  }
  return written + tail(text, words);
}

/** Moves marks after an edit: words stay masked or filled at their new positions. `marks`: by index of a word. */
export function follow(old, now, marks) {
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head].text === now[head].text) head++;
  let same = 0;
  while (same < Math.min(old.length, now.length) - head && old.at(-1 - same).text === now.at(-1 - same).text) same++;
  const moved = now.length - old.length;
  const entries = Object.entries(marks).flatMap(([index, mark]) => {
    const at = Number(index);
    if (at < head) return [[at, mark]];
    return at >= old.length - same ? [[at + moved, mark]] : [];
  });
  return Object.fromEntries(entries);
}

/** After a new division of the same text: marks stay at words that begin where theirs did. */
export function carry(old, now, marks) {
  const starts = new Map(now.map((word) => [word.start, word.index]));
  const entries = Object.entries(marks).map(([index, mark]) => [starts.get(old[Number(index)]?.start), mark]);
  return Object.fromEntries(entries.filter(([index]) => index !== undefined));
}

/** Masked words ↔ one parameter of an address: {1: true, 4: "1-4"} ↔ "1,4:1-4". */
export const writeMasked = (masked) =>
  Object.entries(masked)
    .map(([at, mark]) => (mark === true ? at : `${at}:${mark}`))
    .join(",");

/** @returns {Record<number, true | string>} */
export const readMasked = (parameter = "") =>
  Object.fromEntries(
    [...parameter.matchAll(/(\d+)(?::(\d+(?:-\d+)?))?/g)].map(([, at, lengths]) => [at, lengths ?? true]),
  );

/** Marks ↔ one parameter of an address: {1: "lions"} ↔ "1:lions". */
export const writeMarks = (marks) =>
  Object.entries(marks)
    .map(([at, word]) => `${at}:${encodeURIComponent(word)}`)
    .join(",");

export function readMarks(parameter = "") {
  const found = [...parameter.matchAll(/(\d+):([^,]*)/g)].map(([, at, word]) => {
    try {
      return [at, decodeURIComponent(word)];
    } catch {
      return null;
    }
  });
  return Object.fromEntries(found.filter(Boolean));
}

/** A candidate's token_str as it is written in place of a mask: with its spaces where tokens are exact. */
export const written = (token, word) => (word.exact ? token : token.trim());

/**
 * What a joint filling has in place of each mask: one token or several, as they are written together.
 * @param {{sequence: string, tokens: {token_str: string}[], lengths: number[]}} filled
 * @param {string} input the text that was asked about
 * @param {{exact: boolean}[]} masks those of the text
 *
 * Tokens that are decoded alone do not say where the spaces between them are. The sequence does: it is the input with
 * tokens in place of masks, in which white space may differ but no other character.
 */
export function fillings({ sequence, tokens, lengths }, input, masks) {
  const ends = lengths.map((_, at) => lengths.slice(0, at + 1).reduce((sum, each) => sum + each));
  const runs = ends.map((end, at) => tokens.slice(end - lengths[at], end).map((token) => token.token_str));
  const around = input.split(TYPED).map(sizeOf);
  const sizes = runs.map((run) => run.reduce((sum, token) => sum + sizeOf(withoutJoin(token)), 0));
  const isWhole = [...around, ...sizes].reduce((sum, each) => sum + each) === sizeOf(sequence);
  let end = 0;
  return masks.map((mask, at) => {
    const start = skip(sequence, end, around[at]);
    end = skip(sequence, start, sizes[at]);
    if (runs[at].length === 1 || mask.exact) return written(runs[at].join(""), mask);
    const text = isWhole ? sequence.slice(start, end).trim() : runs[at].map((token) => token.trim()).join(" ");
    return isWhole && runs[at][0].startsWith(JOINED) ? JOINED + text : text;
  });
}

const withoutJoin = (token) => (token.length > JOINED.length && token.startsWith(JOINED) ? token.slice(2) : token);
const sizeOf = (text) => text.replace(/\s/g, "").length;

/** The offset behind the next `count` units of a text that are no white space. */
function skip(text, start, count) {
  let at = start;
  for (let left = count; left > 0 && at < text.length; at++) if (!/\s/.test(text[at])) left--;
  return at;
}

/** A token or a word as it is shown: "lions"; "…s" for what goes on with a word; a sign for white space. */
export function shown(token) {
  if (token.startsWith(JOINED) && token.length > JOINED.length) return `…${token.slice(JOINED.length)}`;
  return token.trim() || (/^[\n\r]/.test(token) ? "↵" : token.startsWith("\t") ? "⇥" : "␣");
}
