// The tables of an evaluation without training labels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { figuresOf, groupsOf } from "../../app/web/static/views/evaluate/figures.js";

const result = (model, mean, groups) => ({
  model,
  metrics: { spearman: { mean, low: mean - 0.1, high: mean + 0.1, runs: 1 } },
  groups: groups.map(([group, items, spearman]) => ({ group, items, spearman })),
});
const REPORT = {
  metric: "spearman",
  results: [
    result("a@1", 0.5, [
      ["news", 1200, 0.4],
      ["forums", 300, 0.6],
    ]),
    result("b@1", 0.25, [["news", 1200, 0.125]]),
  ],
};

test("each model is a row with its interval, and each group one with the figure of every model", () => {
  assert.deepEqual(figuresOf(REPORT), {
    heads: ["Model", "Spearman"],
    rows: [
      ["a@1", "0.500 (0.400 to 0.600)"],
      ["b@1", "0.250 (0.150 to 0.350)"],
    ],
  });
  assert.deepEqual(groupsOf(REPORT).rows, [
    ["news", "1,200", "0.400", "0.125"],
    ["forums", "300", "0.600", "–"],
  ]);
  assert.equal(groupsOf({ ...REPORT, results: [] }), null);
});
