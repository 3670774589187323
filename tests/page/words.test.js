import assert from "node:assert/strict";
import { test } from "node:test";
import {
  carry,
  fillings,
  follow,
  masksOf,
  moved,
  readMarks,
  readMasked,
  rewrite,
  shown,
  spansOfTokens,
  split,
  tail,
  writeMarks,
  writeMasked,
} from "../../app/web/static/views/fill/words.js";

const texts = (text) => split(text).map((word) => word.text);

test("words keep apostrophes, hyphens and decimals, and masks are words of their own", () => {
  assert.deepEqual(texts("It’s a well-known [MASK], 3.14!"), ["It’s", "a", "well-known", "[MASK]", "3.14"]);
  assert.deepEqual(
    split("a <mask> b").map((word) => word.literal),
    [false, true, false],
  );
});

test("words and what lies between them make up the text", () => {
  const text = "  “Żółw”, said the fox… ";
  const words = split(text);
  assert.equal(words.map((word) => word.before + word.text).join("") + tail(text, words), text);
  for (const word of words) assert.equal(text.slice(word.start, word.end), word.text);
});

test("masked words and typed masks are rewritten, and other words are not", () => {
  const text = "The [MASK] chase the lions.";
  const words = split(text);
  const fill = (word) => (word.literal ? "dogs" : null);
  assert.equal(rewrite(text, words, { 4: true }, fill), "The dogs chase the [MASK].");
});

test("a wordpiece that continues a word is joined to it", () => {
  const text = "Two lion [MASK] sleep.";
  const fill = () => "##s";
  assert.equal(rewrite(text, split(text), {}, fill), "Two lions sleep.");
  assert.equal(shown("##s"), "…s");
  assert.equal(shown(" lions"), "lions");
});

test("marks follow their words through an edit", () => {
  assert.deepEqual(follow(split("a b c d"), split("a x b c d"), { 0: true, 2: true }), { 0: true, 3: true });
  assert.deepEqual(follow(split("a b c d"), split("a c d"), { 1: true, 3: true }), { 2: true });
});

test("marks survive an address", () => {
  const marks = { 1: "a,b:c", 12: "ż" };
  assert.deepEqual(readMarks(writeMarks(marks)), marks);
  assert.deepEqual(readMarks("1:%zz,2:ok"), { 2: "ok" });
});

/** The division of a text into characters, as the server's tokens of a tokenizer of characters say it. */
const letters = (text) => {
  const tokens = [...text].map((_, at) => ({ start: at, end: at + 1 }));
  return { spans: spansOfTokens(text, tokens), exact: true };
};
const lettersOf = (text) => split(text, letters(text)).map((word) => word.text);

test("offsets of tokens count characters, and spans count UTF-16 units", () => {
  assert.deepEqual(letters("a😀b").spans, [
    [0, 1],
    [1, 3],
    [3, 4],
  ]);
  assert.deepEqual(lettersOf("MKT 😀"), ["M", "K", "T", " ", "😀"]);
});

test("tokens that share a character and special ones are no words", () => {
  const tokens = [
    { start: null, end: null },
    { start: 0, end: 1 },
    { start: 1, end: 2 },
    { start: 1, end: 2 },
    { start: 2, end: 3 },
  ];
  assert.deepEqual(spansOfTokens("aże", tokens), [
    [0, 1],
    [2, 3],
  ]);
});

test("a masked token becomes a mask without spaces, and its filling is exact", () => {
  const text = "C#C[MASK]c1 O";
  const words = split(text, letters(text));
  assert.deepEqual(words[3].text, "[MASK]");
  assert.equal(
    rewrite(text, words, { 2: true, 6: true }, () => null),
    "C#[MASK][MASK]c1[MASK]O",
  );
  const fill = (word) => (word.literal ? "##" : " ");
  assert.equal(rewrite(text, words, { 2: true }, fill), "C# ##c1 O");
});

test("an edit keeps the tokens around it, and what is new is characters", () => {
  const division = {
    spans: [
      [0, 2],
      [2, 3],
      [3, 5],
    ],
    exact: true,
  };
  const after = "ClCN😀Br";
  assert.deepEqual(
    split(after, moved(division, "ClCBr", after)).map((word) => word.text),
    ["Cl", "C", "N", "😀", "Br"],
  );
  assert.deepEqual(
    split("ClBr", moved(division, "ClCBr", "ClBr")).map((word) => word.text),
    ["Cl", "Br"],
  );
  assert.equal(moved(null, "a", "b"), null);
});

test("marks stay in their places when a text is divided anew", () => {
  const text = "ClC lions";
  const now = split(text, letters(text));
  assert.deepEqual(carry(split(text), now, { 1: true }), { 4: true });
  assert.deepEqual(carry(now, split(text), { 1: true, 4: "x" }), { 1: "x" });
});

test("white space has a sign", () => {
  assert.deepEqual([" ", "\n", "\t", "##"].map(shown), ["␣", "↵", "⇥", "##"]);
});

test("spans are masks with lengths, typed or masked, and keep them in a request and in an address", () => {
  const text = "He moved to [MASK:1-4] in [mask:2] with [MASK].";
  const words = split(text);
  const masked = { 0: true, 1: "1-2" };
  assert.deepEqual(
    masksOf(words, masked).map((mask) => mask.lengths),
    [null, "1-2", "1-4", "2", null],
  );
  assert.equal(
    rewrite(text, words, masked, () => null),
    "[MASK] [MASK:1-2] to [MASK:1-4] in [MASK:2] with [MASK].",
  );
  assert.deepEqual(readMasked(writeMasked(masked)), masked);
  assert.deepEqual(readMasked("1,4"), { 1: true, 4: true });
  assert.deepEqual(readMasked(""), {});
});

const filled = (sequence, ...runs) => ({
  sequence,
  tokens: runs.flat().map((token_str) => ({ token_str })),
  lengths: runs.map((run) => run.length),
});
const masks = (count, exact = false) => Array.from({ length: count }, () => ({ exact }));

test("the tokens of a span are written as the sequence writes them", () => {
  const wordPieces = filled("Mr. New York saw zebras, too.", ["New", "York"], ["ze", "##bra", "##s", ","]);
  assert.deepEqual(fillings(wordPieces, "Mr. [MASK:1-2] saw [MASK:1-4] too.", masks(2)), ["New York", "zebras,"]);
  // SentencePiece's tokens do not say where words begin.
  assert.deepEqual(fillings(filled("In New Zea land", ["New", "Zea"]), "In [MASK:2] land", masks(1)), ["New Zea"]);
  assert.deepEqual(fillings(filled("In Newland", ["New", "land"]), "In [MASK:2]", masks(1)), ["Newland"]);
});

test("a span that goes on with a word is joined to it", () => {
  const [word] = fillings(filled("Two lions in sight", ["##s", "in"]), "Two lion [MASK:1-2] sight", masks(1));
  assert.equal(word, "##s in");
  const text = "Two lion [MASK:1-2] sight";
  assert.equal(
    rewrite(text, split(text), {}, () => word),
    "Two lions in sight",
  );
});

test("where a sequence lacks a character of its tokens, they are written side by side", () => {
  assert.deepEqual(fillings(filled("In here", ["[UNK]", "a"]), "In [MASK:2] here", masks(1)), ["[UNK] a"]);
  assert.deepEqual(fillings(filled("C Cl", ["C", " "]), "[MASK:2]Cl", masks(1, true)), ["C "]);
});
