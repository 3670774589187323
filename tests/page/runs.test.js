import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isFound,
  lossOf,
  namesOf,
  scoreOf,
  secondsOf,
  sparkline,
  tagsOf,
} from "../../app/web/static/views/jobs/runs.js";

const job = (more = {}) => ({
  id: "ftjob-0123456789",
  name: "learnt",
  status: "succeeded",
  method: { type: "mlm" },
  model: "bert-tiny",
  fine_tuned_model: "learnt@1",
  metadata: { team: "docs" },
  ...more,
});
const series = (metrics) =>
  new Map(Object.entries(metrics).map(([key, values]) => [key, values.map((value, at) => ({ step: at * 10, value }))]));

test("jobs of one name are told apart by their ids, others have their names alone", () => {
  const names = namesOf([job(), job({ id: "ftjob-abcdefghij" }), job({ id: "ftjob-2", name: "other" })]);
  assert.deepEqual([...names.values()], ["learnt (456789)", "learnt (efghij)", "other"]);
});

test("a search finds words of the name, state, tags, method, model and id, in any order", () => {
  for (const search of ["", "learnt", "DOCS mlm", "team=docs", "succeeded bert", "456789"])
    assert.ok(isFound(job(), search), search);
  assert.ok(!isFound(job(), "learnt failed"));
  assert.ok(isFound(job({ status: "running", pause_requested: true }), "pausing"));
  assert.deepEqual(tagsOf(job({ metadata: { a: "1", b: "x y" } })), ["a=1", "b=x y"]);
  assert.deepEqual(tagsOf(job({ metadata: null })), []);
});

test("the score is the best held-out figure", () => {
  assert.deepEqual(scoreOf(series({ eval_accuracy: [0.1, 0.456, 0.4], eval_loss: [5, 3, 4] })), {
    label: "accuracy",
    text: "45.6%",
  });
  assert.equal(scoreOf(series({ eval_psnr: [12, 17.123] })).text, "17.12 dB");
  assert.equal(scoreOf(series({ eval_loss: [5, 3.25, 4] })).text, "3.250");
  assert.equal(scoreOf(series({ train_loss: [5] })), null);
});

test("the curve is the held-out loss, or that of the training while there is only one", () => {
  assert.equal(lossOf(series({ eval_loss: [5, 4], train_loss: [6] })).label, "Held-out loss");
  assert.equal(lossOf(series({ eval_loss: [5], train_loss: [6, 5] })).label, "Training loss");
  assert.deepEqual(lossOf(series({})).points, []);
});

test("a sparkline fills its box, and a flat one lies in its middle", () => {
  const points = (values) => values.map((value, at) => ({ step: at, value }));
  assert.equal(sparkline(points([4, 2, 3]), 100, 20), "0.0,0.0 50.0,20.0 100.0,10.0");
  assert.equal(sparkline(points([3, 3]), 100, 20), "0.0,10.0 100.0,10.0");
  assert.equal(sparkline(points([3]), 100, 20), "");
});

test("the time of a job is that of its run", () => {
  assert.equal(secondsOf({ started_at: 100, finished_at: 160 }, 0), 60);
  assert.equal(secondsOf({ started_at: 100, finished_at: null }, 130_500), 30);
  assert.equal(secondsOf({ started_at: null, finished_at: null }, 130_500), null);
});
