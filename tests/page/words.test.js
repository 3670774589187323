import assert from "node:assert/strict";
import { test } from "node:test";
import { follow, readMarks, rewrite, shown, split, tail, writeMarks } from "../../app/web/static/views/fill/words.js";

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

test("hidden words and typed masks are rewritten, and other words are not", () => {
  const text = "The [MASK] chase the lions.";
  const words = split(text);
  const fill = (word) => (word.literal ? "dogs" : null);
  assert.equal(rewrite(text, words, [4], fill), "The dogs chase the [MASK].");
});

test("a wordpiece that continues a word is joined to it", () => {
  const text = "Two lion [MASK] sleep.";
  const fill = () => "##s";
  assert.equal(rewrite(text, split(text), [], fill), "Two lions sleep.");
  assert.equal(shown("##s"), "…s");
  assert.equal(shown(" lions"), "lions");
});

test("marks follow their words through an edit", () => {
  assert.deepEqual(follow("a b c d", "a x b c d", { 0: true, 2: true }), { 0: true, 3: true });
  assert.deepEqual(follow("a b c d", "a c d", { 1: true, 3: true }), { 2: true });
});

test("marks survive an address", () => {
  const marks = { 1: "a,b:c", 12: "ż" };
  assert.deepEqual(readMarks(writeMarks(marks)), marks);
  assert.deepEqual(readMarks("1:%zz,2:ok"), { 2: "ok" });
});
