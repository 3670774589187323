import "./browser.js";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { draft, suggests } from "../../app/web/static/views/jobs/draft.js";
import { repeated } from "../../app/web/static/views/jobs/repeated.js";
import { methods } from "../../app/web/static/views/jobs/methods.js";

const number = (more = {}) => ({ anyOf: [{ type: "number", minimum: 1, ...more }, { type: "null" }], default: null });

beforeEach(() => {
  methods.value = [
    {
      id: "mlm",
      modality: "text",
      presets: [{ id: "tiny", config: {} }],
      architectures: [],
      groups: ["optimiser"],
      hyperparameters: {
        properties: {
          max_minutes: number(),
          epochs: number(),
          batch_size: { type: "integer", minimum: 1, default: 8, group: "optimiser" },
        },
      },
    },
  ];
});

const stored = (id, weight) => ({ id, weight, filename: `${id}.txt`, bytes: 10 });

test("the name of a file suggests its kind", () => {
  const names = ["a.TXT", "b.jsonl.gz", "c.png", "d.opus", "e.mp4", "f.zip"];
  assert.deepEqual(names.map(suggests), ["text", "text", "image", "audio", "video", null]);
});

test("without files nothing is sent", () => {
  assert.equal(draft().request.value, null);
});

test("a file and the defaults make a request", () => {
  const job = draft();
  job.files.put(stored("file-1"));
  assert.deepEqual(job.request.value, {
    model: "tiny",
    method: { type: "mlm", mlm: { hyperparameters: { max_minutes: 10 } } },
    training_file: "file-1",
  });
});

test("an evaluation is repeated at the end, and while the job trains if it is quick", () => {
  const job = draft();
  job.files.put(stored("file-1"));
  job.evaluations.value = repeated({ id: "ftjob-1", methods: ["knn", "baseline"] });
  assert.deepEqual(job.request.value.evaluations, ["ftjob-1", { id: "ftjob-1", when: "interval" }]);
  job.evaluations.value = repeated({ id: "ftjob-2", methods: ["sts"] });
  assert.deepEqual(job.request.value.evaluations, ["ftjob-2"]);
});

test("a setting that is wrong is named, and nothing is sent", () => {
  const job = draft();
  job.files.put(stored("file-1"));
  job.values.value = { batch_size: "0" };
  assert.deepEqual(job.parsed.value.errors, { batch_size: "At least 1" });
  assert.equal(job.request.value, null);
});

test("a job like another one has its files, weights, settings and limits", () => {
  const other = {
    method: { type: "mlm" },
    model: "tiny",
    hyperparameters: { epochs: 3, max_minutes: 5, batch_size: 4 },
    priority: 7,
    resources: {},
    metadata: {},
  };
  const job = draft();
  job.like(other, [stored("file-1", 2), stored("file-2", 1)], stored("file-3"));
  assert.deepEqual(job.request.value, {
    model: "tiny",
    method: { type: "mlm", mlm: { hyperparameters: { batch_size: 4, epochs: 3, max_minutes: 5 } } },
    training_files: [{ id: "file-1", weight: 2 }, "file-2"],
    validation_file: "file-3",
    priority: 7,
  });
});
