import assert from "node:assert/strict";
import { test } from "node:test";
import {
  charactersPerToken,
  describeLosses,
  kindsOf,
  optionsOf,
  piecesOf,
  requestFor,
} from "../../app/web/static/views/tokens/pieces.js";

const token = (id, start, end, text = "") => ({ id, special: start === null, start, end, text });

test("tokens and what lies between them make up the text", () => {
  const text = "ż 😀 a";
  const tokens = [token(2, null, null, "[CLS]"), token(7, 0, 1), token(8, 0, 1), token(9, 2, 3), token(5, 3, 5)];
  const pieces = piecesOf(text, tokens);
  assert.deepEqual(
    pieces.map(({ kind, text: each, id }) => [kind, each, id]),
    [
      ["special", "[CLS]", 2],
      ["token", "ż", 7],
      ["part", "", 8],
      ["gap", " ", null],
      ["token", "😀", 9],
      ["token", " a", 5],
    ],
  );
  assert.equal(charactersPerToken(text, tokens), 5 / 4);
  assert.equal(charactersPerToken("", [tokens[0]]), null);
});

test("what no token covers at the end is shown", () => {
  assert.deepEqual(
    piecesOf("ab  ", [token(1, 0, 2)]).map((piece) => piece.kind),
    ["token", "gap"],
  );
});

test("a request names a model or a new tokenizer with what it learns from", () => {
  const from = { model: "a@1", options: null, files: ["file-1"], sample: "x\n\n y\n" };
  assert.deepEqual(requestFor(from, "t"), { model: "a@1", input: "t" });
  const options = { tokenizer: "kmer", kmer_length: 3 };
  assert.deepEqual(requestFor({ ...from, options, files: [] }, "t"), {
    input: "t",
    tokenizer: { type: "kmer", kmer_length: 3 },
    sample: ["x", " y"],
  });
  assert.deepEqual(requestFor({ ...from, options: {} }, "t"), {
    input: "t",
    tokenizer: { type: "auto" },
    training_files: ["file-1"],
  });
  assert.deepEqual(requestFor({ ...from, options: {}, files: [], sample: " \n" }, "t"), {
    input: "t",
    tokenizer: { type: "auto" },
  });
});

test("a kind has the options that name it", () => {
  const properties = {
    kmer_length: { description: "Letters of a token, for the tokenizer kmer" },
    lowercase: { description: "Lowercase the text, for the tokenizers wordpiece and characters" },
    tokenizer: { description: "Tokenizer of a preset" },
    vocab_size: { description: "Maximum size" },
  };
  const named = (kind) => optionsOf(properties, kind).map(([name]) => name);
  assert.deepEqual(named("auto"), ["tokenizer", "vocab_size"]);
  assert.deepEqual(named("kmer"), ["tokenizer", "vocab_size", "kmer_length"]);
  assert.deepEqual(named("characters"), ["tokenizer", "vocab_size", "lowercase"]);
  assert.deepEqual(kindsOf(["auto", "base", "bpe"]), ["auto", "bpe"]);
});

test("losses are said in words", () => {
  assert.match(describeLosses({ lossless: true, changes: [], lost: [] }), /restores/);
  assert.equal(
    describeLosses({ lossless: false, changes: ["case", "characters"], lost: ["☃"] }),
    "case, characters; lost: ☃",
  );
  assert.equal(describeLosses({ lossless: false, changes: ["white space"], lost: [] }), "white space");
});
