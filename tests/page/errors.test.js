import assert from "node:assert/strict";
import { test } from "node:test";
import { errorsOf, heatOf } from "../../app/web/static/views/reconstruct/errors.js";

test("errors are differences of the colours as shares of their range, whatever the opacity", () => {
  const { errors, mean, most } = errorsOf([0, 0, 0, 255, 10, 20, 30, 255], [255, 255, 255, 0, 10, 20, 30, 255]);
  assert.deepEqual([...errors], [1, 0]);
  assert.deepEqual([mean, most], [0.5, 1]);
});

test("the largest error is the brightest, and equal pictures are dark", () => {
  const heat = heatOf(Float32Array.from([0, 0.2]), 0.2);
  assert.deepEqual([...heat], [0, 0, 4, 255, 252, 255, 164, 255]);
  assert.deepEqual([...heatOf(Float32Array.from([0]), 0)], [0, 0, 4, 255]);
});
