// The search of a sweep as it is typed, and the axes of its chart. Pure functions.

const RANGE = /^([-+.\de]+)\.\.([-+.\de]+?)(:log)?$/i;
const WIDE = 10; // ratio of the largest to the smallest value from which an axis is logarithmic

/** Lines such as "learning_rate = 1e-4, 1e-3" or "batch_tokens = 1024..8192:log" → {parameters, error}. */
export function parseSearch(text) {
  const parameters = {};
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (!line) continue;
    const [name, values] = line.split("=").map((each) => each.trim());
    if (!name || !values) return { parameters: {}, error: `"${line}" is not NAME = VALUES.` };
    const range = RANGE.exec(values);
    if (range) {
      const [min, max] = [Number(range[1]), Number(range[2])];
      if (!(min < max)) return { parameters: {}, error: `${values} is not a range of numbers.` };
      parameters[name] = { min, max, ...(range[3] ? { scale: "log" } : {}) };
    } else {
      parameters[name] = values.split(",").map((each) => parseValue(each.trim()));
    }
  }
  return { parameters, error: null };
}

/** JSON, or a number as ".5"; else the text itself. */
function parseValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text && Number.isFinite(Number(text)) ? Number(text) : text;
  }
}

/** The body of a sweep; null if there is nothing to search. count: text, empty for a grid. */
export function sweepBody(job, text, count) {
  const { parameters } = parseSearch(text);
  if (!Object.keys(parameters).length) return null;
  return { job, parameters, ...(count.trim() ? { search: "random", count: Number(count) } : {}) };
}

/**
 * The axes of a sweep's chart: its parameters and the measure, each as {name, ticks: [{at, text}], place}.
 * place(job) is where the job's value is, from 0 at the bottom to 1; null without a value.
 */
export function axesOf(sweep) {
  const jobs = sweep.jobs.filter((job) => job.value !== null);
  const axes = sweep.parameters.map((name) => axis(name, jobs, (job) => job.settings[name]));
  return [...axes, axis(sweep.measure, jobs, (job) => job.value)];
}

function axis(name, jobs, read) {
  const values = [...new Set(jobs.map(read))];
  const places = values.every((value) => typeof value === "number") ? numbers(values) : names(values);
  const ticks = values.map((value) => ({ at: places.get(value), text: shown(value) }));
  return { name, ticks: thin(ticks), place: (job) => places.get(read(job)) ?? null };
}

function numbers(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const scale = low > 0 && high / low >= WIDE ? Math.log : (value) => value;
  const width = scale(high) - scale(low);
  return new Map(values.map((value) => [value, width > 0 ? (scale(value) - scale(low)) / width : 0.5]));
}

function names(values) {
  const sorted = [...values].sort((a, b) => String(a).localeCompare(String(b)));
  return new Map(sorted.map((value, at) => [value, sorted.length > 1 ? at / (sorted.length - 1) : 0.5]));
}

/** Ticks that are far enough apart to be read, the lowest and the highest among them. */
function thin(ticks) {
  const sorted = ticks.toSorted((a, b) => a.at - b.at);
  const kept = [];
  for (const tick of sorted) {
    if (!kept.length || tick.at - kept.at(-1).at >= 0.09) kept.push(tick);
  }
  if (sorted.length > 1 && kept.at(-1) !== sorted.at(-1))
    kept.splice(kept.length > 1 ? -1 : kept.length, 1, sorted.at(-1));
  return kept;
}

export const shown = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
