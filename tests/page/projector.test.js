import assert from "node:assert/strict";
import { test } from "node:test";
import { fitAll, pixelOf, pointAt, pointBeside, zoom } from "../../app/web/static/views/embed/camera.js";
import { batchFiles, filesOfKind, MOST_FILES, tableOfFiles } from "../../app/web/static/views/embed/media-files.js";
import { neighbours, principal } from "../../app/web/static/views/embed/pca.js";
import {
  countLabels,
  guessLabelColumn,
  guessTextColumn,
  MOST_ROWS,
  readTable,
} from "../../app/web/static/views/embed/table.js";
import { arrangeByNeighbours } from "../../app/web/static/views/embed/umap.js";

const close = (found, expected, by = 1e-4) => assert.ok(Math.abs(found - expected) < by, `${found} is not ${expected}`);

test("CSV has quotes, doubled quotes, line breaks in cells, and rows of other lengths", () => {
  const table = readTable('\uFEFFtext,label\r\n"a, ""b""\nc",x\r\nd\r\n\r\n', "data.CSV");
  assert.deepEqual(table, {
    columns: ["text", "label"],
    rows: [
      ['a, "b"\nc', "x"],
      ["d", ""],
    ],
    left: 0,
  });
});

test("pasted lines are one column, whatever commas they have, and empty lines are none", () => {
  assert.deepEqual(readTable("a, b\n\n c ").rows, [["a, b"], ["c"]]);
  const many = readTable(Array.from({ length: MOST_ROWS + 7 }, (_, at) => `line ${at}`).join("\n"));
  assert.deepEqual([many.rows.length, many.left], [MOST_ROWS, 7]);
});

test("the longest column has the texts, and the one of few values the labels", () => {
  const table = readTable("id\tkind\tsequence\n1\tA\tMKVLL\n2\tB\tMKTAY\n3\tA\tGGSSA\n4\tB\tMSTNP\n", "p.tsv");
  assert.equal(guessTextColumn(table), 2);
  assert.equal(guessLabelColumn(table, 2), 1);
  assert.equal(guessLabelColumn(readTable("a\nb"), 0), -1);
});

test("labels beyond those with a colour count together", () => {
  const labels = ["a", "b", "b", "c", "c", "c", "d"];
  assert.deepEqual(countLabels(labels, 2), [
    { label: "c", count: 3 },
    { label: "b", count: 2 },
    { label: null, count: 2 },
  ]);
  assert.equal(countLabels(labels, 4).at(-1).label, "d");
});

test("principal components of a rectangle are its sides, and their shares those of the variance", () => {
  const corners = Float32Array.from([3, 1, 0, 3, -1, 0, -3, 1, 0, -3, -1, 0].map((value) => value + 5));
  const { points, shares } = principal(corners, 4, 3);
  close(shares[0], 0.9);
  close(shares[1], 0.1);
  close(Math.abs(points[0]), 3);
  close(Math.abs(points[1]), 1);
  assert.deepEqual([...principal(new Float32Array(6).fill(2), 3, 2).shares], [0, 0]);
});

test("neighbours are sorted by their cosine and leave out the point itself", () => {
  const vectors = Float32Array.from([1, 0, 10, 1, 0, 1, -1, 0]);
  const found = neighbours(vectors, 4, 2, 0, 2);
  assert.deepEqual(
    found.map((each) => each.at),
    [1, 2],
  );
  close(found[0].cosine, 10 / Math.sqrt(101));
});

test("all points fit, a zoom keeps its pixel, and a click finds the nearest point", () => {
  const points = Float32Array.from([0, 0, 10, 0, 10, 5]);
  const camera = fitAll(points, 500, 300);
  for (const at of [0, 1, 2]) {
    const [x, y] = pixelOf(camera, points, at);
    assert.ok(x >= 24 && x <= 476 && y >= 24 && y <= 276);
  }
  const place = pixelOf(camera, points, 2);
  const nearer = zoom(camera, 3, place);
  close(nearer.scale, camera.scale * 3);
  close(pixelOf(nearer, points, 2)[0], place[0]);
  assert.equal(pointAt(nearer, points, [place[0] + 3, place[1]]), 2);
  assert.equal(pointAt(nearer, points, [place[0] + 30, place[1]]), null);
  assert.ok(Number.isFinite(fitAll(Float32Array.from([1, 1]), 500, 300).x));
});

test("arrow keys go to the nearest point of their direction, and stay at the edge", () => {
  const points = Float32Array.from([0, 0, 10, 0, 10, 5]);
  assert.equal(pointBeside(points, 0, [1, 0]), 1);
  assert.equal(pointBeside(points, 1, [0, 1]), 2);
  assert.equal(pointBeside(points, 0, [-1, 0]), 0);
});

test("UMAP keeps groups together, tells its progress, and gives the same points again", () => {
  const vectors = new Float32Array(30 * 4);
  for (let at = 0; at < 30; at++) vectors.set([at % 2, 1 - (at % 2), 0.01 * (at % 7), 0.01 * (at % 5)], at * 4);
  const shares = [];
  const points = arrangeByNeighbours(vectors, 30, 4, (share) => shares.push(share));
  assert.deepEqual(
    points,
    arrangeByNeighbours(vectors, 30, 4, () => undefined),
  );
  assert.ok(shares.length > 10 && shares.every((share) => share >= 0 && share < 1));
  const distance = (a, b) => Math.hypot(points[a * 2] - points[b * 2], points[a * 2 + 1] - points[b * 2 + 1]);
  for (let at = 0; at < 30; at++) {
    const others = Array.from({ length: 30 }, (_, other) => other).filter((other) => other !== at);
    const nearest = others.reduce((best, other) => (distance(at, other) < distance(at, best) ? other : best));
    assert.equal(nearest % 2, at % 2);
  }
});

test("files are rows with their folder, without hidden ones, and at most so many", () => {
  const file = (path) => ({ name: path.split("/").at(-1), webkitRelativePath: path.includes("/") ? path : "" });
  const table = tableOfFiles([file("set/cat/1.jpg"), file("set/.git/2.jpg"), file("3.jpg")]);
  assert.deepEqual(table.rows, [
    ["1.jpg", "cat"],
    ["3.jpg", ""],
  ]);
  assert.equal(table.files.length, 2);
  assert.equal(tableOfFiles(Array.from({ length: MOST_FILES + 3 }, () => file("a.jpg"))).left, 3);
});

test("files of other kinds are left out, and those without a type only where there is one of the kind", () => {
  const files = ["image/png", "", "audio/flac", "text/plain", "image/jpeg"].map((type) => ({ type }));
  const types = (kind, from = files) => filesOfKind(from, kind).map((file) => file.type);
  assert.deepEqual(types("image"), ["image/png", "image/jpeg"]);
  assert.deepEqual(types("video"), ["image/png"]); // it may be an animation
  assert.deepEqual(types("audio", files.slice(0, 2)), [""]);
});

test("a batch has few files and few bytes, and a large file one of its own", () => {
  const sizes = (files) => files.map((batch) => batch.map((each) => each.size));
  const files = [5, 5, 20, 1, 1, 1].map((size) => ({ size }));
  assert.deepEqual(sizes(batchFiles(files, 2, 10)), [[5, 5], [20], [1, 1], [1]]);
  assert.deepEqual(batchFiles([], 2, 10), []);
});
