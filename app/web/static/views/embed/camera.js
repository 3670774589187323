// Coordinates ↔ pixels of a plot that can be moved and enlarged. Pure functions.
// A camera is {scale: pixels a unit, x, y: the pixel of the origin}; points are [count, 2] in one array.

const MARGIN = 24; // px
const CLOSEST = 400; // times the scale at which all points are in sight

/** The camera that has all points in sight, on one scale for both axes. */
export function fitAll(points, width, height) {
  const [xs, ys] = [0, 1].map((axis) => spanOf(points, axis));
  const room = Math.min((width - 2 * MARGIN) / (xs.width || 1e-9), (height - 2 * MARGIN) / (ys.width || 1e-9));
  const scale = Number.isFinite(room) && room < 1e8 ? room : 1;
  return { scale, least: scale / 2, x: width / 2 - xs.middle * scale, y: height / 2 + ys.middle * scale };
}

function spanOf(points, axis) {
  let [low, high] = [Infinity, -Infinity];
  for (let at = axis; at < points.length; at += 2) {
    low = Math.min(low, points[at]);
    high = Math.max(high, points[at]);
  }
  return low > high ? { width: 0, middle: 0 } : { width: high - low, middle: (low + high) / 2 };
}

/** The pixel of a point: [x, y]. The second axis points up. */
export const pixelOf = (camera, points, at) => [
  camera.x + points[at * 2] * camera.scale,
  camera.y - points[at * 2 + 1] * camera.scale,
];

/**
 * Enlarges by a factor around a pixel, which keeps its place.
 * @param {number[]} pixel
 */
export function zoom(camera, factor, pixel) {
  const [px, py] = pixel;
  const scale = Math.min(Math.max(camera.scale * factor, camera.least), camera.least * 2 * CLOSEST);
  const by = scale / camera.scale;
  return { ...camera, scale, x: px - (px - camera.x) * by, y: py - (py - camera.y) * by };
}

/**
 * The nearest point within `reach` pixels of a pixel, or null.
 * @param {number[]} pixel
 */
export function pointAt(camera, points, pixel, reach = 12) {
  const [px, py] = pixel;
  let best = null;
  let least = reach ** 2;
  for (let at = 0; at * 2 < points.length; at++) {
    const [x, y] = pixelOf(camera, points, at);
    const distance = (x - px) ** 2 + (y - py) ** 2;
    if (distance <= least) [best, least] = [at, distance];
  }
  return best;
}

/** The nearest point in a direction (dx, dy: one of them is ±1, up is dy = 1), for arrow keys; else the same one. */
export function pointBeside(points, from, [dx, dy]) {
  let best = from;
  let least = Infinity;
  for (let at = 0; at * 2 < points.length; at++) {
    const [x, y] = [points[at * 2] - points[from * 2], points[at * 2 + 1] - points[from * 2 + 1]];
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const distance = Math.hypot(along, 2 * aside); // straight ahead is preferred
    if (along > 1e-9 && along >= aside && distance < least) [best, least] = [at, distance];
  }
  return best;
}
