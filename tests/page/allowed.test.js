import assert from "node:assert/strict";
import { test } from "node:test";
import { can } from "../../app/web/static/views/jobs/allowed.js";

const offered = (status, more = {}) => {
  const job = { status, queue_position: null, pause_requested: false, cancel_requested: false, ...more };
  return Object.keys(can).filter((action) => can[action](job));
};

test("each state offers what would change something", () => {
  assert.deepEqual(offered("queued", { queue_position: 0 }), ["pause", "cancel"]);
  assert.deepEqual(offered("queued", { queue_position: 2 }), ["pause", "cancel", "moveToFront"]);
  assert.deepEqual(offered("running"), ["pause", "cancel"]);
  assert.deepEqual(offered("paused"), ["resume", "cancel"]);
  assert.deepEqual(offered("succeeded"), ["extend", "delete"]);
  assert.deepEqual(offered("failed"), ["retry", "delete"]);
  assert.deepEqual(offered("cancelled"), ["retry", "delete"]);
});

test("a job that is asked to stop offers only what takes that back", () => {
  assert.deepEqual(offered("running", { pause_requested: true }), ["resume", "cancel"]);
  assert.deepEqual(offered("running", { cancel_requested: true }), []);
});
