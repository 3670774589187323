// Evaluations: how much models help with few labels. All of them with the form of a new one, or one with its report.
import { get, isAbort } from "../../core/api.js";
import { pause, reconnections } from "../../core/connection.js";
import { ago } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { link, route } from "../../core/router.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { hasEnded, StateBadge } from "../jobs/states.js";
import { EvaluationPage } from "./evaluation.js";
import { NewEvaluation } from "./form.js";

export const EVALUATIONS = "/v1/evaluations";
const SHOWN = 50;
const BUSY = 1500; // ms between two looks while an evaluation is under way
const IDLE = 6000;

export function EvaluateView() {
  const {
    segments: [id],
  } = route.value;
  return id ? html`<${EvaluationPage} key=${id} id=${id} />` : html`<${Evaluations} />`;
}

function Evaluations() {
  const jobs = useSignal(null);
  const error = useSignal(null);
  useEffect(() => {
    const controller = new AbortController();
    void follow(jobs, error, controller.signal);
    return () => controller.abort();
  }, [reconnections.value]);
  return html`<div class="view">
    <div class="view-head"><div><h1>Evaluate</h1><p class="lead">
      Upload some labelled rows, and see how many labels a model saves, against what needs no model.</p></div></div>
    <${NewEvaluation} />
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${jobs.value === null && !error.value && html`<${Waiting} />`}
    ${
      jobs.value?.length > 0 &&
      html`<section class="panel stack"><h2>Evaluations</h2>
      <ul class="evaluation-list">${jobs.value.map((job) => html`<li key=${job.id}><${Entry} job=${job} /></li>`)}</ul>
    </section>`
    }
  </div>`;
}

async function follow(jobs, error, signal) {
  while (!signal.aborted) {
    try {
      jobs.value = (await get(`${EVALUATIONS}?limit=${SHOWN}`, { signal })).data;
      error.value = null;
    } catch (failed) {
      if (isAbort(failed)) return;
      error.value = failed;
    }
    await pause(jobs.peek()?.every(hasEnded) ? IDLE : BUSY, signal).catch(() => {});
  }
}

function Entry({ job }) {
  return html`<a class="evaluation-name" href=${link("evaluate", [job.id])}>${job.name}</a>
    <${StateBadge} job=${job} />
    <span class="small muted">${job.models.join(", ")}, ${ago(job.created_at)}</span>
    ${job.verdict && html`<span class="small evaluation-words">${job.verdict.summary}</span>`}`;
}
