// Masks as the API nests them: [rows][columns] of 0 and 1, or [moments][rows][columns] of a video.

/** The lengths of a nested mask along its axes: [12, 12]. */
export function shapeOf(mask) {
  const shape = [];
  for (let at = mask; Array.isArray(at); at = at[0]) shape.push(at.length);
  return shape;
}

const sizeOf = (shape) => shape.reduce((product, length) => product * length, 1);

/** Nested → Uint8Array, last axis fastest. */
export const flatten = (mask) => Uint8Array.from(mask.flat(Infinity));

/** Uint8Array → nested as `shape` says. */
export function nest(flat, shape) {
  if (shape.length === 1) return Array.from(flat);
  const step = flat.length / shape[0];
  return Array.from({ length: shape[0] }, (_, at) => nest(flat.subarray(at * step, (at + 1) * step), shape.slice(1)));
}

export const countMasked = (flat) => flat.reduce((sum, value) => sum + value, 0);

/** Whether the model can be asked about a mask: some patches are masked, and some are visible. */
export const isAskable = (flat) => flat.includes(1) && flat.includes(0);

/** {shape, flat} → "12x12.base64url", eight patches a byte, for addresses. */
export function pack({ shape, flat }) {
  const bytes = new Uint8Array(Math.ceil(flat.length / 8));
  flat.forEach((value, at) => (bytes[at >> 3] |= value << (at & 7)));
  return `${shape.join("x")}.${btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "")}`;
}

/** The reverse. Null if the text is not such a mask. */
export function unpack(text) {
  const found = /^(\d{1,4}(?:x\d{1,4}){1,2})\.([\w-]+)$/.exec(text ?? "");
  if (!found) return null;
  const shape = found[1].split("x").map(Number);
  try {
    const bytes = atob(found[2].replaceAll("-", "+").replaceAll("_", "/"));
    const size = sizeOf(shape);
    if (bytes.length !== Math.ceil(size / 8)) return null;
    return { shape, flat: Uint8Array.from({ length: size }, (_, at) => (bytes.charCodeAt(at >> 3) >> (at & 7)) & 1) };
  } catch {
    return null;
  }
}

/** All cells on the straight way between two, ends included, so that a fast stroke has no gaps. */
export function between([x0, y0], [x1, y1]) {
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
  return Array.from({ length: steps + 1 }, (_, at) => [
    Math.round(x0 + ((x1 - x0) * at) / steps),
    Math.round(y0 + ((y1 - y0) * at) / steps),
  ]);
}

/** "1-1.5,3-4" ↔ [[1, 1.5], [3, 4]] */
export const packRanges = (ranges) => ranges.map(([start, end]) => `${start}-${end}`).join(",");
export function unpackRanges(text) {
  const parts = (text ?? "").split(",").map((part) => /^([\d.]+)-([\d.]+)$/.exec(part));
  return parts.filter(Boolean).map(([, start, end]) => [Number(start), Number(end)]);
}
