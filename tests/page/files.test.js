import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { matches, usesOf } from "../../app/web/static/views/files/uses.js";

const job = (id, changes) => ({ id, name: id, status: "succeeded", training_files: [], ...changes });

test("the uses of files are those of jobs of every kind", () => {
  const uses = usesOf([
    job("j2", { training_files: ["f1", { id: "f2", weight: 2 }], status: "running" }),
    job("j1", { training_files: ["f1"], validation_file: "f3", fine_tuned_model: "m@1" }),
    job("import", { training_files: undefined, file: "f4" }),
  ]);
  assert.deepEqual(
    uses.get("f1").map(({ id, model, ended }) => [id, model, ended]),
    [
      ["j2", null, false],
      ["j1", "m@1", true],
    ],
  );
  assert.deepEqual([...uses.keys()], ["f1", "f2", "f3", "f4"]);
});

test("a search finds a file by its name and by what uses it", () => {
  const file = { id: "file-1", filename: "Lions.jsonl" };
  const uses = [{ id: "j1", name: "tiny", model: "cats@3" }];
  for (const [search, expected] of [
    ["", true],
    ["lions cats", true],
    ["tiny", true],
    ["lions dogs", false],
  ])
    assert.equal(matches(file, uses, search), expected, search);
});
