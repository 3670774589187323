// Conversion of the view's state to a request, and of the server's tokens to what is shown. Pure functions.
import { unitsOf } from "../fill/words.js";

const OPTIONS = [
  "tokenizer",
  "vocab_size",
  "lowercase",
  "strip_accents",
  "tokenizer_pattern",
  "kmer_length",
  "kmer_stride",
];
const ALWAYS = ["tokenizer", "vocab_size"];
const LOCAL = { base: true }; // kinds that are no new tokenizers

/** The properties of a method that describe a new tokenizer of a kind: each names the kinds that read it. */
export function optionsOf(properties, kind) {
  return OPTIONS.filter((name) => properties[name])
    .filter((name) => ALWAYS.includes(name) || new RegExp(`\\b${kind}\\b`).test(properties[name].description))
    .map((name) => [name, properties[name]]);
}

/** The kinds that a new tokenizer can have, of those that a job may name. */
export const kindsOf = (options) => options.filter((kind) => !LOCAL[kind]);

/** The body of a request. sample: lines of text, none if the text itself is to be learnt from. */
export function requestFor({ model, options, files, sample }, text) {
  if (!options) return { model, input: text };
  const { tokenizer = "auto", ...others } = options;
  const body = { input: text, tokenizer: { type: tokenizer, ...others } };
  const lines = sample.split("\n").filter((line) => line.trim());
  if (files.length) return { ...body, training_files: files };
  return lines.length ? { ...body, sample: lines } : body;
}

/**
 * A text and its tokens → [{kind, text, id}]
 * kind: "token"; "part" for one that shares its characters with the one before it, as bytes do; "special"; "gap" for
 * characters that belong to no token.
 */
export function piecesOf(text, tokens) {
  const unit = unitsOf(text);
  const pieces = [];
  let last = 0;
  const gap = (end) => {
    if (end > last) pieces.push({ kind: "gap", text: text.slice(last, end), id: null });
  };
  for (const { id, special, start, end, text: written } of tokens) {
    if (special || start === null) {
      pieces.push({ kind: "special", text: written, id });
      continue;
    }
    gap(unit[start]);
    const own = unit[end] > last;
    pieces.push({
      kind: own ? "token" : "part",
      text: own ? text.slice(Math.max(unit[start], last), unit[end]) : "",
      id,
    });
    last = Math.max(last, unit[end]);
  }
  gap(text.length);
  return pieces;
}

/** What a tokenizer does not restore, as a phrase. */
export function describeLosses({ lossless, changes, lost }) {
  if (lossless) return "Nothing: decoding restores the text";
  return [changes.join(", "), lost.length > 0 && `lost: ${lost.join(" ")}`].filter(Boolean).join("; ");
}

/** Characters a token, without the special ones; null for no token. */
export function charactersPerToken(text, tokens) {
  const count = tokens.filter((token) => !token.special).length;
  return count ? [...text].length / count : null;
}
