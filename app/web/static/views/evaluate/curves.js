// The curves of a report: scores by number of labels. No markup.

export const METHODS = {
  linear_probe: "linear probe",
  knn: "nearest neighbours",
  kmeans: "k-means",
  fine_tune: "fine-tuning",
  from_scratch: "from scratch",
  random_encoder: "random weights",
  baseline: "plain baseline",
};

// They train the whole network, which takes minutes where the others take seconds.
export const SLOW_METHODS = ["fine_tune", "from_scratch"];

/** Methods without training labels: each is the only one of its evaluation, and reads columns of its own. */
export const TEXT_METHODS = {
  sts: { label: "Similarity of pairs (STS)", columns: { text: "text", pair: "pair", label: "label", group: "" } },
  minimal_pairs: { label: "Minimal pairs", columns: { text: "good", pair: "bad", group: "" } },
  masked_accuracy: { label: "Masked accuracy", columns: { text: "text" } },
};

const TICK_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]; // of scores
const MAX_STEPS = 5; // between the lowest and the highest score

/** "1, 10, all" → [1, 10, "all"]. What is no number stays, and the server says so. */
export function parseCounts(text) {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((word) => (/^\d+$/.test(word) ? Number(word) : word));
}

/** A report → [{key, label, points: [{x, count, mean, low, high}]}], in the order of their first results. */
export function curvesOf(report) {
  const classes = Math.max(1, Object.keys(report.data.classes).length);
  const fewer = report.labels_per_class?.filter((count) => count !== "all") ?? []; // items may have several labels
  const curves = new Map();
  for (const result of report.results) {
    const interval = result.metrics[report.metric];
    if (result.method === "kmeans" || !interval) continue;
    const key = `${result.method} ${result.model ?? ""}`;
    if (!curves.has(key)) curves.set(key, { key, label: labelOf(result, report), points: [] });
    const count = result.labels_per_class;
    const x = count === "all" ? Math.max(result.labels / classes, ...fewer) : count;
    curves.get(key).points.push({ x, count, mean: interval.mean, low: interval.low, high: interval.high });
  }
  return [...curves.values()];
}

function labelOf({ method, model }, { baseline }) {
  if (method === "baseline") return baseline;
  return `${model}, ${METHODS[method]}`;
}

/** Scales of a plot: {x(value), y(value): pixels, ticks: [{value, at}] of both axes}. The x axis is logarithmic. */
export function scalesOf(curves, { width, height, left, right, top, bottom }) {
  const points = curves.flatMap((curve) => curve.points);
  const xs = points.map((point) => Math.log10(Math.max(point.x, 1e-6)));
  const values = points.flatMap((point) => [point.low ?? point.mean, point.high ?? point.mean, point.mean]);
  const [x0, x1] = widened(Math.min(...xs), Math.max(...xs), 0.5);
  const least = points.every((point) => point.mean >= 0) ? 0 : -1; // an interval may go beyond what a score can be
  const yValues = roundTicks(Math.max(least, Math.min(...values)), Math.min(1, Math.max(...values)));
  const [y0, y1] = [yValues[0], yValues.at(-1)];
  const x = (value) => left + ((Math.log10(Math.max(value, 1e-6)) - x0) / (x1 - x0)) * (width - left - right);
  const y = (value) => {
    const at = height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
    return Math.min(height - bottom, Math.max(top, at));
  };
  const counts = [...new Map(points.map((point) => [point.x, point.count]))].sort((a, b) => a[0] - b[0]);
  return {
    x,
    y,
    xTicks: counts.map(([value, count]) => ({ label: String(count), at: x(value), value })),
    yTicks: yValues.map((value) => ({ label: value.toFixed(2), at: y(value), value })),
  };
}

/** A range with room for a single value. */
function widened(low, high, room) {
  return high - low < 1e-9 ? [low - room, high + room] : [low, high];
}

/** The unit of the x axis. For numbers instead of classes, labels are counted altogether. */
export function unitOf(report) {
  return Object.keys(report.data.classes).length ? "labels per class" : "labels";
}

/** 5 → "5 labels per class", "all" → "all labels". */
export function labelsOf(count, report) {
  if (String(count) === "all") return "all labels";
  const unit = unitOf(report);
  return `${count} ${Number(count) === 1 ? unit.replace("labels", "label") : unit}`;
}

/** Numbers as strings → the fifth of them that each is in, such as "1.5 to 3". */
export function groupNumbers(labels) {
  const values = labels.map(Number);
  const sorted = [...values].sort((a, b) => a - b);
  const bounds = [0, 1, 2, 3, 4].map((part) => sorted[Math.floor((part * sorted.length) / 5)]);
  const ends = [...bounds.slice(1), sorted.at(-1)];
  return values.map((value) => {
    const part = bounds.findLastIndex((bound) => value >= bound);
    return `${bounds[part]} to ${ends[part]}`;
  });
}

/** Round numbers at equal distances, from `low` or less to `high` or more. */
function roundTicks(low, high) {
  const step = TICK_STEPS.find((each) => high - low <= MAX_STEPS * each) ?? TICK_STEPS.at(-1);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** The x of the curves that is nearest to a place in pixels. */
export function nearest(ticks, at) {
  return ticks.reduce((best, tick) => (Math.abs(tick.at - at) < Math.abs(best.at - at) ? tick : best)).value;
}

/** 0.8123 with its interval: "0.812 ± 0.031". */
export function scoreText(point) {
  if (!point) return "–";
  return point.high === null
    ? point.mean.toFixed(3)
    : `${point.mean.toFixed(3)} ± ${(point.high - point.mean).toFixed(3)}`;
}
