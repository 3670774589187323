import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, optionOf, optionsIn, withOption } from "../../app/web/static/views/fill/options.js";
import { requestFor } from "../../app/web/static/views/fill/predictions.js";
import { split } from "../../app/web/static/views/fill/words.js";

test("without options, a request is as before", () => {
  assert.deepEqual(fieldsOf({}, false), { entropy: true });
  assert.deepEqual(fieldsOf({}, true), { num_sequences: 5, entropy: true });
});

test("values become what the API takes", () => {
  const values = { words_only: "true", allow: "tea, green tea,, ", temperature: "0.5", pattern: "^t, " };
  assert.deepEqual(fieldsOf(values, false), {
    words_only: true,
    allow: ["tea", "green tea"],
    temperature: 0.5,
    pattern: "^t, ",
    entropy: true,
  });
});

test("a number that is none is sent as it was typed, so that the server names the option", () => {
  assert.equal(fieldsOf({ temperature: "warm" }, false).temperature, "warm");
});

test("whole words are asked for without joint fillings and entropy", () => {
  assert.deepEqual(fieldsOf({ whole_words: "true" }, true), { whole_words: true });
});

test("the seed is sent with what draws, and the way of decoding with several masks", () => {
  assert.deepEqual(fieldsOf({ seed: "7", decode: "gibbs", order: "left-to-right" }, false), { entropy: true });
  assert.deepEqual(fieldsOf({ seed: "7", decode: "gibbs" }, true), {
    seed: 7,
    decode: "gibbs",
    num_sequences: 5,
    entropy: true,
  });
  assert.equal(fieldsOf({ seed: "7", sample: "3" }, false).seed, 7);
  assert.equal(fieldsOf({ decode: "greedy" }, true).num_sequences, 1);
});

test("options are known by their names in an address", () => {
  assert.deepEqual(optionsIn({ text: "a", ban: "b", sample: "" }), { ban: "b" });
  assert.deepEqual(withOption({ ban: "b" }, "ban", ""), {});
  assert.deepEqual(withOption({ ban: "b" }, "seed", "1"), { ban: "b", seed: "1" });
});

test("an error is shown at the option that it names", () => {
  assert.equal(optionOf({ param: "allow.0" }), "allow");
  assert.equal(optionOf({ param: "input" }), null);
  assert.equal(optionOf({ param: null }), null);
  assert.equal(optionOf(null), null);
});

test("the options are part of a request", () => {
  const text = "The cat chased the dog";
  const { body } = requestFor("m", text, split(text), { 1: true }, {}, { temperature: "2" });
  assert.equal(body.temperature, 2);
});
