// The curves of an evaluation's report, and where they are drawn.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  curvesOf,
  groupNumbers,
  labelsOf,
  nearest,
  parseCounts,
  scalesOf,
  scoreText,
  unitOf,
} from "../../app/web/static/views/evaluate/curves.js";

const result = (method, model, count, labels, mean, half) => ({
  method,
  model,
  labels_per_class: count,
  labels,
  metrics: {
    accuracy: { mean, low: half === null ? null : mean - half, high: half === null ? null : mean + half, runs: 5 },
  },
});
const REPORT = {
  metric: "accuracy",
  baseline: "TF-IDF",
  data: { classes: { a: 50, b: 50 } },
  results: [
    result("baseline", null, 1, 2, 0.5, 0.1),
    result("baseline", null, "all", 70, 0.8, null),
    result("linear_probe", "m@1", 1, 2, 0.6, 0.1),
    result("kmeans", "m@1", 0, 0, 0.7, 0.1),
  ],
};
const BOX = { width: 100, height: 100, left: 10, right: 10, top: 10, bottom: 10 };

test("a curve is a method with a model, and all labels stand at their number per class", () => {
  const curves = curvesOf(REPORT);
  assert.deepEqual(
    curves.map((curve) => [curve.label, curve.points.map((point) => point.x)]),
    [
      ["TF-IDF", [1, 35]],
      ["m@1, linear probe", [1]],
    ],
  );
  assert.equal(scoreText(curves[0].points[0]), "0.500 ± 0.100");
  assert.equal(scoreText(curves[0].points[1]), "0.800");
  assert.equal(scoreText(undefined), "–");
});

test("the axis of labels is logarithmic, and a place finds its nearest number", () => {
  const scales = scalesOf(curvesOf(REPORT), BOX);
  assert.deepEqual(
    scales.xTicks.map((tick) => [tick.label, tick.at]),
    [
      ["1", 10],
      ["all", 90],
    ],
  );
  assert.equal(scales.x(Math.sqrt(35)), 50);
  assert.equal(nearest(scales.xTicks, 60), 35);
  const alone = scalesOf(curvesOf({ ...REPORT, results: REPORT.results.slice(0, 1) }), BOX);
  assert.ok(Number.isFinite(alone.x(1)) && Number.isFinite(alone.y(0.5)));
});

test("the axis of scores has round numbers, and none that a score cannot be", () => {
  const labels = (...results) => scalesOf(curvesOf({ ...REPORT, results }), BOX).yTicks.map((tick) => tick.label);
  assert.deepEqual(labels(result("knn", "m@1", 1, 2, 0.2, 0.3), result("knn", "m@1", 5, 10, 0.93, 0.15)), [
    "0.00",
    "0.20",
    "0.40",
    "0.60",
    "0.80",
    "1.00",
  ]);
  assert.deepEqual(labels(result("knn", "m@1", 1, 2, 0.875, null)), ["0.87", "0.88"]);
  assert.deepEqual(labels(result("knn", "m@1", 1, 2, -0.1, 0.2)), ["-0.30", "-0.20", "-0.10", "0.00", "0.10"]);
});

test("labels are counted per class, or altogether where they are numbers", () => {
  assert.equal(unitOf(REPORT), "labels per class");
  assert.equal(labelsOf("1", REPORT), "1 label per class");
  assert.equal(labelsOf("all", REPORT), "all labels");
  assert.equal(unitOf({ data: { classes: {} } }), "labels");
});

test("numbers have the colours of their fifths", () => {
  assert.deepEqual(groupNumbers(["9", "1", "3", "5", "7"]), ["9 to 9", "1 to 3", "3 to 5", "5 to 7", "7 to 9"]);
});

test("numbers of labels are read as a user types them", () => {
  assert.deepEqual(parseCounts("1, 10  all,x"), [1, 10, "all", "x"]);
});
