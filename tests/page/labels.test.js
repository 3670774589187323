// Labels of the view Classify: scores in words, and which labels are part of the answer.
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  describeCalibration,
  isAssigned,
  linesOf,
  scoreText,
  shareOf,
} from "../../app/web/static/views/classify/labels.js";

test("probabilities are percentages, and numbers of a regression stay numbers", () => {
  assert.equal(scoreText("single_label", 0.9731), "97.3 %");
  assert.equal(scoreText("single_label", 0.99999), "100.00 %");
  assert.equal(scoreText("multi_label", 0.00012), "0.01 %");
  assert.equal(scoreText("regression", -1.23456), "-1.235");
  assert.equal(shareOf("regression", 0.5), null);
  assert.equal(shareOf("single_label", 0.5), 0.5);
});

test("the best label is assigned, or each of several", () => {
  assert.ok(isAssigned({ label: "a" }, "a"));
  assert.ok(!isAssigned({ label: "a" }, "b"));
  assert.ok(isAssigned({ label: "a", labels: ["a", "b"] }, "b"));
  assert.ok(!isAssigned({ label: "a", labels: [] }, "a"));
});

test("calibration is described where it was measured", () => {
  assert.equal(describeCalibration(null), "");
  assert.equal(describeCalibration({ ece: null }), "");
  assert.match(describeCalibration({ ece: 0.034 }), /differ by 3\.4 percentage points/);
});

test("entities are lines of their own, also those of one label", () => {
  const entities = [
    { word: " Ada", label: "PER", score: 0.9, start: 0, end: 3, index: null },
    { word: "Bo", label: "PER", score: 0.8, start: 8, end: 10, index: null },
  ];
  const lines = linesOf({ type: "tokens", label: null, scores: [], entities });
  assert.deepEqual(
    lines.map(({ key, name }) => [key, name]),
    [
      [0, "Ada: PER"],
      [1, "Bo: PER"],
    ],
  );
  assert.deepEqual(linesOf({ type: "single_label", label: "a", scores: [{ label: "a", score: 1 }] }), [
    { key: "a", name: "a", score: 1, standing: true },
  ]);
});
