import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";

const { asExamples, samplesOf } = await import("../../app/web/static/core/samples.js");

const model = { name: "m", version: 1, modality: "text", architecture: "bert", job_id: null };

test("a model without a job has the examples of its architecture, a protein model proteins", () => {
  assert.deepEqual(samplesOf(model), []);
  const [first] = samplesOf({ ...model, architecture: "esm" });
  assert.match(first.text, /^[A-Z]+$/);
  assert.equal(first.masked.length, first.text.length - 1 + "[MASK]".length);
});

test("a model of a job waits for that job's texts", () => {
  assert.equal(samplesOf({ ...model, job_id: "ftjob-1" }), null);
});

test("examples are named by their beginnings", () => {
  const examples = asExamples([
    { text: "MKVLLGAS", masked: "MK[MASK]LLGAS" },
    { text: "GET /index.html\n HTTP/1.1 200", masked: "GET [MASK] HTTP/1.1 200" },
  ]);
  assert.deepEqual(
    examples.map(({ name }) => name),
    ["MKVLLGAS", "GET /index.html HTT…"],
  );
  assert.equal(examples[0].text, "MK[MASK]LLGAS");
});
