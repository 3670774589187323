// The output of a job's process, and the events of the job.
import { isAbort, send } from "../../core/api.js";
import { pause } from "../../core/connection.js";
import { html, useEffect, useLayoutEffect, useRef, useSignal } from "../../core/html.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { hasEnded } from "./states.js";
import { JOBS } from "./watch.js";

const LINES = 500;
const AGAIN = 2000; // ms

export function Log({ job }) {
  const text = useSignal(null);
  const error = useSignal(null);
  const place = useRef();
  const atEnd = useRef(true); // who has scrolled up to read stays there
  const ended = hasEnded(job);
  useEffect(() => {
    const controller = new AbortController();
    (async () => {
      for (;;) {
        try {
          const response = await send(`${JOBS}/${job.id}/logs?tail=${LINES}`, { signal: controller.signal });
          text.value = await response.text();
          error.value = null;
        } catch (failed) {
          if (isAbort(failed) || controller.signal.aborted) return;
          error.value = failed;
        }
        if (ended) return;
        await pause(AGAIN, controller.signal).catch(() => {});
        if (controller.signal.aborted) return;
      }
    })();
    return () => controller.abort();
  }, [job.id, job.attempts, ended]);
  useLayoutEffect(() => {
    if (place.current && atEnd.current) place.current.scrollTop = place.current.scrollHeight;
  }, [text.value]);
  if (error.value?.status === 404)
    return html`<p class="muted">
      ${job.attempts ? error.value.message : "No worker has begun this job yet, so there is no log."}</p>`;
  if (error.value) return html`<${ErrorNote} error=${error.value} />`;
  if (text.value === null) return html`<${Waiting} />`;
  return html`<pre class="log" ref=${place} tabindex="0" aria-label="What the trainer has printed"
    onScroll=${({ target }) => (atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < 10)}>
      <code>${text.value || "Nothing has been printed yet."}</code></pre>`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** events: messages, the oldest first. */
export function Events({ events }) {
  if (!events.length) return html`<p class="muted">Nothing has happened yet.</p>`;
  return html`<ol class="events">${events.toReversed().map(
    (event) => html`<li key=${event.id} class=${event.level}>
    <time class="small muted">${TIME.format(new Date(event.created_at * 1000))}</time>
    <span>
      ${
        event.level !== "info" &&
        html`<span class=${`badge ${event.level === "error" ? "danger" : "warning"}`}>
        ${event.level}</span> `
      }${event.message}</span></li>`,
  )}</ol>`;
}
