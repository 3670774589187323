import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsIn, optionIn } from "../../app/web/static/views/jobs/columns.js";

test("the columns of an error are those that it lists", () => {
  const message =
    "a.csv, line 1: no column 'text' in the header; found 'id', \"it's\", 'a\\\\b', 'cut…' and 3 more." +
    " Set text_column to one of them. id: '1', '2'; it's: 'x'";
  assert.deepEqual(columnsIn(message), ["id", "it's", "a\\b"]);
  assert.deepEqual(columnsIn("a.csv: it contains no text; found 'x'"), []);
  assert.deepEqual(columnsIn(undefined), []);
  const pairs = "a.csv, line 1: no column 'anchor'; found 'q'. Set anchor_column to one of them. q: 'x'";
  assert.deepEqual([optionIn(pairs), columnsIn(pairs)], ["anchor_column", ["q"]]);
  assert.equal(optionIn(undefined), null);
});
