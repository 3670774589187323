// The difference of two pictures, pixel by pixel. Pure functions on RGBA bytes, as a canvas gives them.

const HEAT = [
  [0, 0, 4],
  [120, 28, 109],
  [237, 105, 37],
  [252, 255, 164],
]; // from no error to the largest one: four colours of matplotlib's inferno

/** Mean absolute difference of the three channels, as a share of the whole range: {errors: [pixels], mean, most}. */
export function errorsOf(original, predicted) {
  const errors = new Float32Array(original.length / 4);
  errors.forEach((_, at) => {
    let sum = 0;
    for (let channel = 0; channel < 3; channel++)
      sum += Math.abs(original[at * 4 + channel] - predicted[at * 4 + channel]);
    errors[at] = sum / (3 * 255);
  });
  const mean = errors.reduce((sum, each) => sum + each, 0) / (errors.length || 1);
  return { errors, mean, most: errors.reduce((most, each) => Math.max(most, each), 0) };
}

/** Errors → RGBA bytes, on the scale from 0 to `most`. */
export function heatOf(errors, most) {
  const bytes = new Uint8ClampedArray(errors.length * 4);
  errors.forEach((error, at) => {
    const place = most > 0 ? Math.min(error / most, 1) * (HEAT.length - 1) : 0;
    const low = Math.min(Math.floor(place), HEAT.length - 2);
    for (let channel = 0; channel < 3; channel++)
      bytes[at * 4 + channel] = HEAT[low][channel] + (HEAT[low + 1][channel] - HEAT[low][channel]) * (place - low);
    bytes[at * 4 + 3] = 255;
  });
  return bytes;
}
