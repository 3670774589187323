// Arithmetic on embeddings. Pure functions; vectors are arrays of numbers.

const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);

/** Cosines of every pair: [n][n], in [-1, 1]. */
export function similarities(vectors) {
  const lengths = vectors.map((vector) => Math.sqrt(dot(vector, vector)) || 1);
  return vectors.map((a, i) => vectors.map((b, j) => (i === j ? 1 : dot(a, b) / (lengths[i] * lengths[j]))));
}

/** The `most` other inputs that are nearest to input `of`: [{at, cosine}], the nearest first. */
export function nearest(cosines, of, most) {
  return cosines[of]
    .map((cosine, at) => ({ at, cosine }))
    .filter(({ at }) => at !== of)
    .sort((a, b) => b.cosine - a.cosine)
    .slice(0, most);
}

/**
 * The lowest and the highest cosine of two different inputs: {low, high, digits}, with the number of decimal places
 * that tells them apart. Of a single input, the whole scale.
 */
export function rangeOf(cosines) {
  let [low, high] = [Infinity, -Infinity];
  cosines.forEach((row, i) =>
    row.forEach((value, j) => {
      if (i === j) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }),
  );
  if (low > high) return { low: 0, high: 1, digits: 2 };
  const digits = high - low < 0.02 ? 4 : high - low < 0.2 ? 3 : 2;
  return { low, high, digits };
}

/** The place of a cosine within a range, from 0 to 1; without a width, all are in its middle. */
export function placeIn({ low, high }, value) {
  if (high - low < 1e-6) return 0.5;
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}

/**
 * The two principal components: {points: [[x, y]], shares: [of the variance, each]}. By power
 * iteration on the centred Gram matrix [n, n], which is small where there are fewer items than dimensions.
 */
export function project(vectors) {
  const count = vectors.length;
  const mean = vectors[0].map((_, at) => vectors.reduce((sum, vector) => sum + vector[at], 0) / count);
  const centred = vectors.map((vector) => vector.map((value, at) => value - mean[at]));
  const gram = centred.map((a) => centred.map((b) => dot(a, b)));
  const total = gram.reduce((sum, row, at) => sum + row[at], 0);
  const axes = [0, 1].map(() => {
    const { value, vector } = leading(gram);
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) gram[i][j] -= value * vector[i] * vector[j];
    return { value: Math.max(value, 0), vector };
  });
  const points = vectors.map((_, at) => axes.map(({ value, vector }) => vector[at] * Math.sqrt(value)));
  return { points, shares: axes.map(({ value }) => (total > 1e-12 ? value / total : 0)) };
}

/** The largest eigenvalue of a positive semidefinite matrix, and its unit eigenvector. */
function leading(matrix) {
  let vector = matrix.map((_, at) => Math.sin(at + 1)); // anything that is not orthogonal to it
  let value = 0;
  for (let round = 0; round < 300; round++) {
    const next = matrix.map((row) => dot(row, vector));
    const length = Math.sqrt(dot(next, next));
    if (length < 1e-12) return { value: 0, vector: vector.map(() => 0) };
    vector = next.map((each) => each / length);
    if (Math.abs(length - value) < 1e-10 * length) break;
    value = length;
  }
  return {
    value: dot(
      vector,
      matrix.map((row) => dot(row, vector)),
    ),
    vector,
  };
}

/** Embeddings as NumPy reads them: float32, C order, [n, dimensions]. */
export function npy(vectors) {
  const shape = `(${vectors.length}, ${vectors[0].length})`;
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n"; // 10 bytes stand before it
  const bytes = new Uint8Array(10 + header.length + vectors.length * vectors[0].length * 4);
  const view = new DataView(bytes.buffer);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]); // \x93NUMPY, version 1.0
  view.setUint16(8, header.length, true);
  bytes.set(new TextEncoder().encode(header), 10);
  let at = 10 + header.length;
  for (const vector of vectors) for (const value of vector) view.setFloat32(at, value, true), (at += 4);
  return bytes;
}

/** CSV with one row per input: its label, then the numbers. Quoted after RFC 4180. */
export function csv(labels, vectors) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const head = ["input", ...vectors[0].map((_, at) => `d${at}`)].join(",");
  return [head, ...vectors.map((vector, at) => [quoted(labels[at]), ...vector].join(","))].join("\r\n") + "\r\n";
}

/**
 * Sparse vectors as bars: {index, token, value, share}, the share being of the greatest weight of all vectors.
 * @param {{index: number, token: string, value: number}[][]} vectors
 */
export function barsOf(vectors) {
  const most = Math.max(...vectors.flat().map((term) => term.value), 0) || 1;
  return vectors.map((terms) => terms.map((term) => ({ ...term, share: term.value / most })));
}
