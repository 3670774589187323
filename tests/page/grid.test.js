import assert from "node:assert/strict";
import { test } from "node:test";
import * as grid from "../../app/web/static/views/reconstruct/grid.js";

test("a nested mask is flattened with the last axis fastest, and nested again", () => {
  const mask = [
    [
      [1, 0],
      [0, 1],
    ],
    [
      [0, 0],
      [1, 1],
    ],
  ];
  const flat = grid.flatten(mask);
  assert.deepEqual([...flat], [1, 0, 0, 1, 0, 0, 1, 1]);
  assert.deepEqual(grid.shapeOf(mask), [2, 2, 2]);
  assert.deepEqual(grid.nest(flat, [2, 2, 2]), mask);
  assert.equal(grid.countMasked(flat), 4);
});

test("a mask needs something masked and something visible", () => {
  assert.equal(grid.isAskable(Uint8Array.of(0, 1)), true);
  assert.equal(grid.isAskable(Uint8Array.of(0, 0)), false);
  assert.equal(grid.isAskable(Uint8Array.of(1, 1)), false);
});

test("masks survive an address, and other texts are no masks", () => {
  const mask = { shape: [5, 7], flat: Uint8Array.from({ length: 35 }, (_, at) => Number(at % 3 === 0)) };
  assert.deepEqual(grid.unpack(grid.pack(mask)), mask);
  for (const text of [undefined, "", "5x7", "5x7.AA", "5x7.!!!!", "0.AAAA"]) assert.equal(grid.unpack(text), null);
});

test("a fast stroke has no gaps", () => {
  assert.deepEqual(grid.between([0, 0], [3, 1]), [
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 1],
  ]);
  assert.equal(grid.between([2, 2], [2, 2]).length, 2);
});

test("ranges survive an address", () => {
  const ranges = [
    [1, 1.5],
    [3, 4],
  ];
  assert.equal(grid.packRanges(ranges), "1-1.5,3-4");
  assert.deepEqual(grid.unpackRanges("1-1.5,3-4,x"), ranges);
  assert.deepEqual(grid.unpackRanges(undefined), []);
});
