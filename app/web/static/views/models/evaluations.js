// The evaluations of a model, with their findings in words.
import { get, isAbort } from "../../core/api.js";
import { ago } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { link } from "../../core/router.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { StateBadge } from "../jobs/states.js";

export function Evaluations({ id }) {
  const jobs = useSignal(null);
  const error = useSignal(null);
  useEffect(() => {
    const controller = new AbortController();
    get(`/v1/evaluations?model=${encodeURIComponent(id)}`, { signal: controller.signal }).then(
      (page) => (jobs.value = page.data),
      (failed) => isAbort(failed) || (error.value = failed),
    );
    return () => controller.abort();
  }, [id]);
  if (error.value) return html`<${ErrorNote} error=${error.value} />`;
  if (!jobs.value) return html`<${Waiting} />`;
  const more = html`<a href=${link("evaluate")}>Evaluate it on labels of yours</a>`;
  if (!jobs.value.length) return html`<p class="muted">There is no evaluation of this version. ${more}.</p>`;
  return html`<ul class="panel evaluation-list">${jobs.value.map(
    (job) => html`<li key=${job.id}><a class="evaluation-name" href=${link("evaluate", [job.id])}>${job.name}</a>
      <${StateBadge} job=${job} /><span class="small muted">${ago(job.created_at)}</span>
      ${job.verdict && html`<span class="small evaluation-words">${job.verdict.summary}</span>`}</li>`,
  )}</ul>`;
}
