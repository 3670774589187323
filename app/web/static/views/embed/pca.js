// Principal components and neighbours of thousands of vectors. Pure functions, which a worker runs.
// Vectors are one Float32Array in rows: [count, size].

const ROUNDS = 200;
const CLOSE = 1e-7;

/**
 * The two principal components: {points: Float32Array [count, 2], shares: [of the variance, each]}.
 * By power iteration on the centred data, which needs no matrix of covariances; the second component is kept
 * orthogonal to the first one.
 */
export function principal(vectors, count, size) {
  const centred = centre(vectors, count, size);
  const total = centred.reduce((sum, value) => sum + value * value, 0);
  const points = new Float32Array(count * 2);
  const axes = [];
  const shares = [0, 1].map((nth) => {
    const axis = leading(centred, count, size, axes);
    axes.push(axis);
    const places = times(centred, axis, count, size);
    places.forEach((place, at) => (points[at * 2 + nth] = place));
    const variance = places.reduce((sum, place) => sum + place * place, 0);
    return total > 1e-12 ? variance / total : 0;
  });
  return { points, shares };
}

/** The `most` nearest neighbours of a vector by cosine, without itself: [{at, cosine}], the nearest first. */
export function neighbours(vectors, count, size, of, most) {
  const rows = unitRows(vectors, count, size);
  return rows
    .map((row, at) => ({ at, cosine: row.reduce((sum, value, column) => sum + value * rows[of][column], 0) }))
    .filter(({ at }) => at !== of)
    .sort((a, b) => b.cosine - a.cosine)
    .slice(0, most);
}

/** The vectors as rows of length 1; one without a length stays as it is. */
export function unitRows(vectors, count, size) {
  return Array.from({ length: count }, (_, at) => unit(vectors.slice(at * size, (at + 1) * size)));
}

function centre(vectors, count, size) {
  const mean = new Float64Array(size);
  vectors.forEach((value, at) => (mean[at % size] += value / count));
  return vectors.map((value, at) => value - mean[at % size]);
}

/** The unit vector of the largest variance among those that are orthogonal to `axes`. */
function leading(centred, count, size, axes) {
  let axis = unit(Float64Array.from({ length: size }, (_, at) => Math.sin(at + 1)));
  for (let round = 0; round < ROUNDS; round++) {
    const next = back(centred, times(centred, axis, count, size), count, size);
    for (const other of axes) {
      const along = next.reduce((sum, value, at) => sum + value * other[at], 0);
      next.forEach((_, at) => (next[at] -= along * other[at]));
    }
    const found = unit(next);
    const change = found.reduce((sum, value, at) => sum + (value - axis[at]) ** 2, 0);
    axis = found;
    if (change < CLOSE) break;
  }
  return axis;
}

function unit(vector) {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return length < 1e-9 ? vector.fill(0) : vector.map((value) => value / length);
}

/** data @ axis: [count] */
function times(data, axis, count, size) {
  const result = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    let sum = 0;
    for (let column = 0; column < size; column++) sum += data[row * size + column] * axis[column];
    result[row] = sum;
  }
  return result;
}

/** data.T @ weights: [size] */
function back(data, weights, count, size) {
  const result = new Float64Array(size);
  for (let row = 0; row < count; row++)
    for (let column = 0; column < size; column++) result[column] += data[row * size + column] * weights[row];
  return result;
}
