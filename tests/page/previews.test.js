import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { summarize, visible } from "../../app/web/static/views/jobs/previews.js";

test("a preview says how many items there are and what one of them is", () => {
  const whole = { items: 20_000, sampled: false, read_as: { lines: 1 } };
  assert.equal(summarize(whole), "20,000 items, one document a line.");
  const part = { items: 1, sampled: true, read_as: { file: 3, rows: 1 } };
  assert.equal(
    summarize(part),
    "About 1 item, one document a file in 3 files, one document a row. Only the beginning of the file was read.",
  );
  assert.equal(summarize({ items: 3, sampled: false, read_as: {} }), "3 items.");
});

test("white space and control characters of an alphabet are visible", () => {
  assert.deepEqual(["A", " ", "\n", "\u00a0", "あ"].map(visible), ["A", "space", "U+000A", "U+00A0", "あ"]);
});
