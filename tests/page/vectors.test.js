import assert from "node:assert/strict";
import { test } from "node:test";
import {
  barsOf,
  csv,
  nearest,
  npy,
  placeIn,
  project,
  rangeOf,
  similarities,
} from "../../app/web/static/views/embed/vectors.js";

const close = (found, expected) => assert.ok(Math.abs(found - expected) < 1e-6, `${found} is not ${expected}`);

test("cosines", () => {
  const cosines = similarities([
    [1, 0],
    [0, 2],
    [-3, 0],
    [0, 0],
  ]);
  close(cosines[0][0], 1);
  close(cosines[0][1], 0);
  close(cosines[0][2], -1);
  close(cosines[0][3], 0);
});

test("the nearest other inputs, the nearest first", () => {
  const cosines = [
    [1, 0.2, 0.9],
    [0.2, 1, 0.4],
    [0.9, 0.4, 1],
  ];
  assert.deepEqual(nearest(cosines, 0, 5), [
    { at: 2, cosine: 0.9 },
    { at: 1, cosine: 0.2 },
  ]);
  assert.deepEqual(nearest(cosines, 1, 1), [{ at: 2, cosine: 0.4 }]);
});

test("the range of cosines is that of different inputs, with the digits that tell them apart", () => {
  const range = rangeOf([
    [1, 0.89, 0.95],
    [0.89, 1, 1],
    [0.95, 1, 1],
  ]);
  assert.deepEqual(range, { low: 0.89, high: 1, digits: 3 });
  close(placeIn(range, 0.89), 0);
  close(placeIn(range, 0.945), 0.5);
  close(placeIn(range, 1), 1);
  assert.deepEqual(rangeOf([[1]]), { low: 0, high: 1, digits: 2 });
  const equal = rangeOf([
    [1, 0.7],
    [0.7, 1],
  ]);
  close(placeIn(equal, 0.7), 0.5);
});

test("points on a line keep their distances, and the first component has all of the variance", () => {
  const { points, shares } = project([
    [0, 0, 0],
    [3, 4, 0],
    [6, 8, 0],
  ]);
  close(shares[0], 1);
  close(shares[1], 0);
  close(Math.abs(points[0][0] - points[2][0]), 10);
});

test("equal vectors have no variance", () => {
  const { points, shares } = project([
    [1, 1],
    [1, 1],
  ]);
  assert.deepEqual(shares, [0, 0]);
  assert.ok(points.flat().every((value) => value === 0));
});

test("NPY has an aligned header and little-endian floats", () => {
  const bytes = npy([
    [1, 2],
    [3, 4],
  ]);
  const view = new DataView(bytes.buffer);
  const header = 10 + view.getUint16(8, true);
  assert.equal(header % 64, 0);
  assert.match(new TextDecoder("latin1").decode(bytes.subarray(10, header)), /'shape': \(2, 2\)/);
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => view.getFloat32(header + at, true)),
    [1, 2, 3, 4],
  );
});

test("CSV quotes what it must", () => {
  assert.equal(csv(['say "a, b"', "plain"], [[1], [2]]), 'input,d0\r\n"say ""a, b""",1\r\nplain,2\r\n');
});

test("sparse vectors share one scale, and may be empty", () => {
  const term = (index, value) => ({ index, token: `t${index}`, value });
  const shares = barsOf([[term(3, 2), term(1, 0.5)], [], [term(3, 1)]]).map((terms) => terms.map((each) => each.share));
  assert.deepEqual(shares, [[1, 0.25], [], [0.5]]);
  assert.deepEqual(barsOf([[]]), [[]]);
});
