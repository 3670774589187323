import assert from "node:assert/strict";
import { test } from "node:test";
import { hasEnded, stateOf, tryView, whereabouts } from "../../app/web/static/views/jobs/states.js";

const job = (status, more = {}, progress = {}) => ({
  status,
  queue_position: null,
  ...more,
  progress: { step: 0, total_steps: null, tokens_per_second: null, eta_seconds: null, ...progress },
});

test("a job that is asked to stop says so", () => {
  assert.equal(stateOf(job("running"))[0], "Running");
  assert.equal(stateOf(job("running", { pause_requested: true }))[0], "Pausing");
  assert.equal(stateOf(job("running", { pause_requested: true, cancel_requested: true }))[0], "Cancelling");
  assert.deepEqual(stateOf(job("new state")), ["new state", ""]);
});

test("which jobs have ended", () => {
  assert.deepEqual(
    ["queued", "running", "paused", "failed"].map((status) => hasEnded(job(status))),
    [false, false, false, true],
  );
});

test("one line says where a job is", () => {
  assert.equal(whereabouts(job("queued", { queue_position: 0 })), "Next in the queue");
  assert.equal(whereabouts(job("queued", { queue_position: 3 })), "3 before it in the queue");
  assert.equal(whereabouts(job("running")), "Getting ready");
  assert.equal(
    whereabouts(job("running", {}, { step: 40, total_steps: 60, tokens_per_second: 1300, eta_seconds: 120 })),
    "Step 40 of 60 · 1,300 tokens/s · 2 min left",
  );
  assert.equal(whereabouts(job("failed", { error: { message: "out of memory\ntrace" } })), "out of memory");
  assert.equal(whereabouts(job("paused")), "Not begun");
});

test("where a finished model is tried", () => {
  assert.equal(tryView("text"), "fill");
  assert.equal(tryView("audio"), "reconstruct");
});
