// A text as words that can be masked. Pure functions; a word is known by its index among the text's words.
//
// For a model whose tokens can be masked one by one, such as the residues of a protein, each of them is a "word".
// A division says where they are: {spans: [[start, end], …], exact}, in UTF-16 units; null stands for words of prose.
// exact: a token is written as it is, without spaces around it.

const WORD = /\[MASK\]|<mask>|[\p{L}\p{N}\p{M}]+(?:['’.\-][\p{L}\p{N}\p{M}]+)*/giu;
const TYPED = /\[MASK\]|<mask>/gi;
const MASK = /^(\[MASK\]|<mask>)$/i;
const JOINED = "##"; // how WordPiece writes what goes on with a word

/**
 * text → [{index, text, start, end, literal, before, exact}]
 * literal: it is a mask as it was typed; before: what precedes it.
 */
export function split(text, division = null) {
  let last = 0;
  return (division ? withMasks(text, division.spans) : spansOf(text, WORD)).map(([start, end], index) => {
    const before = text.slice(last, start);
    const word = text.slice(start, end);
    last = end;
    return { index, text: word, start, end, literal: MASK.test(word), before, exact: Boolean(division?.exact) };
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

/** Whether a word is a mask: a typed one, or a masked word. */
export const isMask = (word, masked) => word.literal || masked.includes(word.index);

/**
 * Builds the text of a request. `fill(word)` returns the text in place of a mask, or null for a mask.
 * A piece that continues a word ("##s") is joined to the one before it.
 */
export function rewrite(text, words, masked, fill) {
  let written = "";
  for (const word of words) {
    const filling = isMask(word, masked) ? (fill(word) ?? "[MASK]") : word.text;
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

/** A token or a word as it is shown: "lions"; "…s" for what goes on with a word; a sign for white space. */
export function shown(token) {
  if (token.startsWith(JOINED) && token.length > JOINED.length) return `…${token.slice(JOINED.length)}`;
  return token.trim() || (/^[\n\r]/.test(token) ? "↵" : token.startsWith("\t") ? "⇥" : "␣");
}
