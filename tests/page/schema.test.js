import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, parse } from "../../app/web/static/views/jobs/schema.js";

const rate = describe("learning_rate", {
  anyOf: [{ type: "number", exclusiveMinimum: 0, maximum: 1 }, { type: "null" }],
  default: null,
  description: "The step size; the preset's own",
  group: "optimiser",
});

test("a property is described for the form", () => {
  assert.equal(rate.label, "Learning rate");
  assert.equal(rate.hint, "The step size");
  assert.equal(rate.otherwise, "the preset's own");
  assert.deepEqual([rate.kind, rate.min, rate.max, rate.open], ["number", 0, 1, [true, false]]);
  assert.equal(describe("fast", { type: "boolean", default: true }).kind, "flag");
  assert.deepEqual(describe("how", { enum: ["a", "b"], default: "a" }).options, ["a", "b"]);
  assert.deepEqual(describe("how", { anyOf: [{ enum: ["a"] }, { enum: ["b", "c"] }] }).options, ["a", "b", "c"]);
});

test("numbers within bounds are values, and others say what they should be", () => {
  assert.deepEqual(parse(rate, "1"), { value: 1 });
  assert.deepEqual(parse(rate, ""), { value: undefined });
  assert.deepEqual(parse(rate, "0"), { error: "More than 0" });
  assert.deepEqual(parse(rate, "2"), { error: "At most 1" });
  assert.deepEqual(parse(rate, "x"), { error: "A number" });
  const count = describe("count", { type: "integer", minimum: 1, default: 1 });
  assert.deepEqual(parse(count, "1.5"), { error: "A whole number" });
  assert.deepEqual(parse(count, "0"), { error: "At least 1" });
});

test("flags and choices are read from their texts", () => {
  assert.deepEqual(parse(describe("fast", { type: "boolean", default: true }), "false"), { value: false });
  assert.deepEqual(parse(describe("size", { enum: [1, 2], default: 1 }), "2"), { value: 2 });
});
