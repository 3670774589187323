import assert from "node:assert/strict";
import { test } from "node:test";
import { piecesOf, readShare, rowsOf, writeShare } from "../../app/web/static/views/fill/groups.js";

const token = (rank, log_prob) => ({ rank, log_prob });
const GROUPS = [
  { start: 2, end: 7, text: "lions", prediction: "lions", tokens: [token(1, Math.log(0.5))] },
  { start: 8, end: 12, text: "hunt", prediction: "sleep", tokens: [token(1, -1), token(30, -2)] },
];

test("pieces make up the text, and offsets count an emoji once", () => {
  const text = "😀 lions hunt.";
  const pieces = piecesOf(text, GROUPS);
  assert.equal(pieces.map((piece) => piece.text).join(""), text);
  assert.deepEqual(
    pieces.filter((piece) => piece.group).map((piece) => [piece.text, piece.group.isRight]),
    [
      ["lions", true],
      ["hunt", false],
    ],
  );
});

test("a part of several tokens has a rank for each and one probability", () => {
  const [first, second] = rowsOf(GROUPS);
  assert.equal(first.share, 0.5);
  assert.deepEqual(second.ranks, [1, 30]);
  assert.equal(second.share, Math.exp(-3));
});

test("what is masked at random survives an address", () => {
  const share = { ratio: 0.3, seed: 4, wholeWords: false };
  assert.deepEqual(readShare(writeShare(share)), share);
  assert.equal(writeShare(readShare("")), undefined);
  for (const wrong of ["0.0,1,words", "2,1,words", "x"]) assert.deepEqual(readShare(wrong), readShare());
});
