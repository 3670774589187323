// A live job: its record, messages and metrics, from one stream that resumes by itself.
import { get } from "../../core/api.js";
import { follow } from "../../core/events.js";
import { batch, signal } from "../../core/html.js";
import { hasEnded } from "./states.js";

export const JOBS = "/v1/pretraining/jobs";
const FLUSH = 200; // ms: what comes faster is drawn together
const KEPT = 500; // messages
const PAGE = 1000; // events
const PAGES = 20; // that are looked through for messages: metrics stand between them

/** {job, messages, series, artifacts, error: signals; start(), stop(), put(job)} */
export function watch(id) {
  const job = signal(null);
  const messages = signal([]); // the oldest first
  const series = signal(new Map()); // metric → [{x: step, y}], by step
  const artifacts = signal([]); // names, in the order of steps
  const error = signal(null);
  const path = `${JOBS}/${id}`;
  let controller = new AbortController();
  let last = null; // id of the newest event
  let following = false;
  let waiting = [];
  let timer = null;

  async function start() {
    const { signal: aborted } = controller;
    error.value = null;
    try {
      const [record, told] = await Promise.all([get(path, { signal: aborted }), toldSoFar(path, aborted)]);
      last = told.last;
      const [metrics, files] = await Promise.all([
        get(`${path}/metrics?max_points=1000`, { signal: aborted }),
        get(`${path}/artifacts`, { signal: aborted }),
      ]);
      batch(() => {
        job.value = record;
        messages.value = told.messages;
        series.value = new Map(
          metrics.data.map(({ key, points }) => [key, points.map(({ step, value }) => ({ x: step, y: value }))]),
        );
        artifacts.value = files.data.map((each) => each.name);
      });
      if (!hasEnded(record)) await listen();
    } catch (failed) {
      if (!aborted.aborted) error.value = failed;
    }
  }

  async function listen() {
    if (following) return;
    following = true;
    const { signal: aborted } = controller;
    try {
      await follow(`${path}/events${last ? `?after=${encodeURIComponent(last)}` : ""}`, {
        signal: aborted,
        onEvent: take,
      });
    } finally {
      following = false;
    }
  }

  function take({ event, data, id: eventId }) {
    if (eventId && !eventId.endsWith("-end")) last = eventId;
    waiting.push([event, data]);
    timer ??= setTimeout(flush, FLUSH);
  }

  function flush() {
    timer = null;
    const news = waiting;
    waiting = [];
    const told = news.filter(([event]) => event === "message").map(([, data]) => data);
    const measured = news.filter(([event]) => event === "metrics").map(([, data]) => data.data);
    batch(() => {
      for (const [event, data] of news) if (event === "job" || event === "end") job.value = data;
      if (told.length) messages.value = [...messages.value, ...told].slice(-KEPT);
      if (measured.length) series.value = extended(series.value, measured);
      const pictures = told
        .map((event) => event.data.artifact)
        .filter((name) => name && !artifacts.value.includes(name));
      if (pictures.length) artifacts.value = [...artifacts.value, ...pictures].sort();
    });
  }

  /** The answer to something that was asked of the job: shown at once, and followed again if it goes on. */
  function put(record) {
    job.value = record;
    if (!hasEnded(record)) void listen().catch((failed) => (error.value = failed));
  }

  function stop() {
    controller.abort();
    clearTimeout(timer);
    controller = new AbortController();
  }

  return { job, messages, series, artifacts, error, start, stop, put };
}

/** {messages: the newest of them, the oldest first; last: the id of the newest event}. */
async function toldSoFar(path, aborted) {
  const messages = [];
  let last = null;
  let after = "";
  for (let at = 0; at < PAGES && messages.length < KEPT; at++) {
    const page = await get(`${path}/events?limit=${PAGE}${after}`, { signal: aborted });
    last ??= page.data[0]?.id ?? null;
    messages.push(...page.data.filter((event) => event.type === "message"));
    if (!page.has_more) break;
    after = `&after=${encodeURIComponent(page.data.at(-1).id)}`;
  }
  return { messages: messages.slice(0, KEPT).reverse(), last };
}

/** Points behind the others; a step that is done again takes the place of all from there on. */
function extended(series, measured) {
  const next = new Map(series);
  for (const { step, ...values } of measured) {
    if (step === undefined) continue;
    for (const [key, value] of Object.entries(values)) {
      if (typeof value !== "number") continue;
      const before = (next.get(key) ?? []).filter((point) => point.x < step);
      next.set(key, [...before, { x: step, y: value }]);
    }
  }
  return next;
}
