import assert from "node:assert/strict";
import { test } from "node:test";
import { axesOf, parseSearch, sweepBody } from "../../app/web/static/views/jobs/search.js";

test("a line has a hyperparameter with a list or a range", () => {
  const { parameters, error } = parseSearch("learning_rate = .0001, 1e-3\n\nschedule=linear,cosine\nx = 1..100:log");
  assert.equal(error, null);
  assert.deepEqual(parameters, {
    learning_rate: [1e-4, 1e-3],
    schedule: ["linear", "cosine"],
    x: { min: 1, max: 100, scale: "log" },
  });
});

test("a line without values and a range that falls are refused", () => {
  assert.match(parseSearch("learning_rate").error, /NAME = VALUES/);
  assert.match(parseSearch("x = 3..1").error, /not a range/);
});

test("a request is a grid unless it has a number of jobs", () => {
  assert.equal(sweepBody({ model: "m" }, "  \n", ""), null);
  assert.deepEqual(sweepBody({ model: "m" }, "a = 1", ""), { job: { model: "m" }, parameters: { a: [1] } });
  assert.equal(sweepBody({}, "a = 1..2", "8").count, 8);
});

test("axes place numbers by their size, wide ones by their logarithm, and names in order", () => {
  const jobs = [
    { value: 2, settings: { rate: 1e-4, schedule: "linear" } },
    { value: 3, settings: { rate: 1e-2, schedule: "cosine" } },
    { value: 2.5, settings: { rate: 1e-3, schedule: "linear" } },
    { value: null, settings: { rate: 1e-3, schedule: "linear" } },
  ];
  const [rate, schedule, loss] = axesOf({ parameters: ["rate", "schedule"], measure: "loss", jobs });
  assert.ok(Math.abs(rate.place(jobs[2]) - 0.5) < 1e-9);
  assert.deepEqual([schedule.place(jobs[0]), schedule.place(jobs[1])], [1, 0]);
  assert.deepEqual([loss.name, loss.place(jobs[2])], ["loss", 0.5]);
  assert.deepEqual(
    rate.ticks.map(({ text }) => text),
    ["0.0001", "0.001", "0.01"],
  );
});
