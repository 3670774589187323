// The parts of a text that were masked at random, as the server's `masked` says them. Pure functions.
import { unitsOf } from "./words.js";

const isRight = (group) => group.tokens.every((token) => token.rank === 1);

/** The text in pieces: [{text, group}]; group: what was masked there, with `isRight`, or null. */
export function piecesOf(text, groups) {
  const unit = unitsOf(text);
  const pieces = [];
  let last = 0;
  for (const group of groups) {
    const [start, end] = [unit[group.start], unit[group.end]];
    if (start > last) pieces.push({ text: text.slice(last, start), group: null });
    pieces.push({ text: text.slice(start, end), group: { ...group, isRight: isRight(group) } });
    last = end;
  }
  return last < text.length ? [...pieces, { text: text.slice(last), group: null }] : pieces;
}

/** Truth, prediction, ranks of the tokens and probability of the truth for each part. */
export const rowsOf = (groups) =>
  groups.map((group) => ({
    start: group.start,
    truth: group.text,
    prediction: group.prediction,
    ranks: group.tokens.map((token) => token.rank),
    share: Math.exp(group.tokens.reduce((sum, token) => sum + token.log_prob, 0)),
  }));

const USUAL = { ratio: 0.15, seed: 0, wholeWords: true };

/** What is masked at random ↔ one parameter of an address: {ratio, seed, wholeWords} ↔ "0.15,3,words". */
export const writeShare = ({ ratio, seed, wholeWords }) =>
  ratio === USUAL.ratio && seed === USUAL.seed && wholeWords === USUAL.wholeWords
    ? undefined
    : `${ratio},${seed},${wholeWords ? "words" : "tokens"}`;

export function readShare(parameter = "") {
  const found = /^(0?\.\d{1,4}|1),(\d{1,9}),(words|tokens)$/.exec(parameter);
  return found && Number(found[1]) > 0
    ? { ratio: Number(found[1]), seed: Number(found[2]), wholeWords: found[3] === "words" }
    : USUAL;
}
