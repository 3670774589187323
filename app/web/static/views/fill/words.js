// A text as words that can be hidden. Pure functions; a word is known by its index among the text's words.

const WORD = /\[MASK\]|<mask>|[\p{L}\p{N}\p{M}]+(?:['’.\-][\p{L}\p{N}\p{M}]+)*/giu;
const MASK = /^(\[MASK\]|<mask>)$/i;
const JOINED = "##"; // how WordPiece writes what goes on with a word

/**
 * text → [{index, text, start, end, literal, before}]
 * literal: it is a mask as it was typed; before: what precedes it.
 */
export function split(text) {
  const words = [];
  let last = 0;
  for (const found of text.matchAll(WORD)) {
    const end = found.index + found[0].length;
    words.push({
      index: words.length,
      text: found[0],
      start: found.index,
      end,
      literal: MASK.test(found[0]),
      before: text.slice(last, found.index),
    });
    last = end;
  }
  return words;
}

/** The text after the last word. */
export const tail = (text, words) => text.slice(words.at(-1)?.end ?? 0);

/** The words that are masks: typed masks and hidden words. */
export const isMask = (word, hidden) => word.literal || hidden.includes(word.index);

/**
 * Builds the text of a request. `fill(word)` returns the text in place of a mask, or null for a mask.
 * A piece that continues a word ("##s") is joined to the one before it.
 */
export function rewrite(text, words, hidden, fill) {
  let written = "";
  for (const word of words) {
    const filling = isMask(word, hidden) ? (fill(word) ?? "[MASK]") : word.text;
    const joined = filling.startsWith(JOINED);
    written += (joined ? word.before.trimEnd() : word.before) + (joined ? filling.slice(JOINED.length) : filling);
  }
  return written + tail(text, words);
}

/** Moves marks after an edit: words stay hidden or filled at their new positions. `marks`: by index of a word. */
export function follow(before, after, marks) {
  const old = split(before);
  const now = split(after);
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

/** A candidate's token_str as it is shown: "lions"; "…s" for what goes on with a word. */
export const shown = (token) => (token.startsWith(JOINED) ? `…${token.slice(JOINED.length)}` : token.trim() || "␣");
