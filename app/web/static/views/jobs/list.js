// All jobs, the newest first, as they are now.
import { get } from "../../core/api.js";
import { pause, reconnections } from "../../core/connection.js";
import { ago } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { link, navigate } from "../../core/router.js";
import { Button } from "../../ui/controls.js";
import { Empty, ErrorNote, Note, Waiting } from "../../ui/status.js";
import { hasEnded, ProgressBar, StateBadge, whereabouts } from "./states.js";
import { JOBS } from "./watch.js";

const NONE_YET =
  "Drop some text, pictures, sounds or videos, and a model learns to fill in what is hidden of them. " +
  "Its result can be used as soon as it is published.";
const PAGE = 50;
const BUSY = 1500; // ms between two looks while a job is under way
const IDLE = 6000;

export function JobList() {
  const jobs = useSignal(null);
  const more = useSignal(false);
  const limit = useSignal(PAGE);
  const error = useSignal(null);
  const workers = useSignal(null);
  const chosen = useSignal([]);

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const look = async () => {
      const [page, alive] = await Promise.all([
        get(`${JOBS}?limit=${limit.peek()}`, { signal }),
        get("/v1/workers", { signal }),
      ]);
      jobs.value = page.data;
      more.value = page.has_more;
      workers.value = alive.data;
      error.value = null;
    };
    (async () => {
      while (!signal.aborted) {
        try {
          await look();
        } catch (failed) {
          if (signal.aborted) return;
          error.value = failed;
        }
        await pause(jobs.peek()?.every(hasEnded) ? IDLE : BUSY, signal).catch(() => {});
        while (document.hidden && !signal.aborted) await pause(IDLE, signal).catch(() => {});
      }
    })();
    return () => controller.abort();
  }, [limit.value, reconnections.value]);

  const toggle = (id) =>
    (chosen.value = chosen.value.includes(id) ? chosen.value.filter((each) => each !== id) : [...chosen.value, id]);
  const waiting = jobs.value?.some((job) => job.status === "queued");
  return html`<div class="view">
    <div class="view-head">
      <div><h1>Jobs</h1><p class="lead">
        Train a model on files of yours: from scratch, or on from one that is there.</p></div>
      <div class="row">
        ${
          jobs.value?.length > 1 &&
          html`
            <${Button} disabled=${chosen.value.length < 2}
              onClick=${() => navigate("jobs", ["compare"], { ids: chosen.value.join(",") })}>
          ${chosen.value.length < 2 ? "Compare" : `Compare ${chosen.value.length}`}<//>`
        }
        <a class="button primary" href=${link("jobs", ["new"])}>New job</a>
      </div>
    </div>
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${
      workers.value?.length === 0 &&
      waiting &&
      html`<${Note} kind="warning">
      No worker is alive, so queued jobs wait. Start one with <code>cloze worker</code>; <code>
        cloze serve</code> brings its own unless CLOZE_WORKERS is 0.<//>`
    }
    ${jobs.value === null && !error.value && html`<${Waiting} />`}
    ${
      jobs.value?.length === 0 &&
      html`<div class="panel">
        <${Empty} title="No jobs yet"
          text=${NONE_YET}>
      <a class="button primary" href=${link("jobs", ["new"])}>New job</a><//></div>`
    }
    ${
      jobs.value?.length > 0 &&
      html`<ul class="job-list">
      ${jobs.value.map(
        (job) => html`
        <${Row} key=${job.id} job=${job} chosen=${chosen.value.includes(job.id)} onToggle=${() => toggle(job.id)} />`,
      )}
          </ul>`
    }
    ${
      more.value &&
      html`<div class="row center">
      <${Button} onClick=${() => (limit.value = Math.min(limit.value + PAGE, 1000))}>Show more<//></div>`
    }
  </div>`;
}

function Row({ job, chosen, onToggle }) {
  return html`<li class="job-row panel">
    <label class="job-pick">
      <input type="checkbox" checked=${chosen} onChange=${onToggle} aria-label=${`Compare ${job.name}`} /></label>
    <a class="job-link" href=${link("jobs", [job.id])}>
      <span class="job-name">${job.name}</span>
      <span class="muted small">${job.method.type} · ${job.model}</span>
    </a>
    <div class="job-state"><div class="row between"><${StateBadge} job=${job} /><span class="small muted">
      ${ago(job.created_at)}</span></div>
      ${!hasEnded(job) && html`<${ProgressBar} job=${job} />`}
      <p class=${`small job-where ${job.status === "failed" ? "failed" : "muted"}`}>${whereabouts(job)}</p></div>
  </li>`;
}
