import assert from "node:assert/strict";
import { test } from "node:test";
import {
  alphabetOf,
  csvOf,
  gridOf,
  isPerLetter,
  mix,
  nameOf,
  placeOn,
  step,
} from "../../app/web/static/views/fill/variants.js";
import { split } from "../../app/web/static/views/fill/words.js";

const grid = gridOf(
  "A C",
  [
    { variant: "A7C", score: -2 },
    { variant: "A7D", score: 1 },
    { variant: "C8A", score: 0.5 },
    { variant: "C8D", score: -4 },
  ],
  7,
);

test("variants become rows of letters and columns of positions", () => {
  assert.deepEqual(grid.letters, ["A", "C", "D"]);
  assert.deepEqual(grid.wildType, ["A", "C"]);
  assert.deepEqual(grid.scores, [
    [null, 0.5],
    [-2, null],
    [1, -4],
  ]);
  assert.equal(grid.limit, 4);
  assert.equal(nameOf(grid, { row: 2, place: 1 }), "C8D");
});

test("the table has each variant once, with its position", () => {
  assert.deepEqual(csvOf(grid).split("\n"), [
    "variant,position,wild_type,letter,score",
    "A7C,7,A,C,-2",
    "A7D,7,A,D,1",
    "C8A,8,C,A,0.5",
    "C8D,8,C,D,-4",
    "",
  ]);
});

test("the scale is centred at 0, and a few extreme scores do not bleach the others", () => {
  assert.deepEqual([placeOn(2, 0), placeOn(2, -1), placeOn(2, 9)], [0, -0.5, 1]);
  const many = Array.from({ length: 99 }, (_, at) => ({ variant: `A${at + 1}C`, score: 1 }));
  assert.equal(gridOf("A".repeat(100), [...many, { variant: "A100C", score: -50 }], 1).limit, 1);
  assert.equal(gridOf("A", [], 1).limit, 1);
  assert.equal(mix("#000000", "#ff8000", 0.5), "#804000");
});

test("letters are guessed by those of the text", () => {
  assert.equal(alphabetOf("ACGTNAC"), "ACGT");
  assert.equal(alphabetOf("ACGU"), "ACGU");
  assert.equal(alphabetOf("M K T X"), "ACDEFGHIKLMNPQRSTVWY");
  assert.equal(alphabetOf("c1ccccc1"), "");
});

test("arrows move within the grid", () => {
  assert.deepEqual(step(grid, { row: 0, place: 0 }, "ArrowDown"), { row: 1, place: 0 });
  assert.deepEqual(step(grid, { row: 0, place: 1 }, "ArrowRight"), { row: 0, place: 1 });
});

test("tokens of several letters have no grid, and typed masks do not count", () => {
  const divided = (text, spans) => split(text, { spans, exact: true });
  const one = [[0, 1]];
  assert.equal(isPerLetter(divided("A[MASK]", one)), true);
  assert.equal(isPerLetter(divided("😀", [[0, 2]])), true);
  assert.equal(isPerLetter(divided("CBr", [...one, [1, 3]])), false);
});
