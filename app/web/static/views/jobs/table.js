// The table of jobs: a row a job, with its score and the curve of its loss.
import { ago, compact, date, duration } from "../../core/format.js";
import { html } from "../../core/html.js";
import { link } from "../../core/router.js";
import { lossOf, scoreOf, secondsOf, sparkline, tagsOf } from "./runs.js";
import { hasEnded, ProgressBar, StateBadge, whereabouts } from "./states.js";

const WIDTH = 96; // px of a sparkline
const HEIGHT = 24;

/** metrics: Map of id → series; names: Map of id → name; onTag(tag): a tag was clicked. */
export function JobTable({ jobs, metrics, names, chosen, onToggle, onTag }) {
  return html`<div class="panel table-scroll" tabindex="0" role="region" aria-label="Jobs"><table class="job-table">
    <thead><tr><th scope="col"><span class="visually-hidden">Compare</span></th><th scope="col">Job</th>
      <th scope="col">State</th><th scope="col">Score</th><th scope="col">Loss</th>
      <th scope="col" class="number">Tokens</th><th scope="col">Time</th><th scope="col">Tags</th></tr></thead>
    <tbody>${jobs.map(
      (job) => html`<${Row} key=${job.id} job=${job} name=${names.get(job.id)} series=${metrics.get(job.id)}
        chosen=${chosen.includes(job.id)} onToggle=${() => onToggle(job.id)} onTag=${onTag} />`,
    )}</tbody></table></div>`;
}

function Row({ job, name, series, chosen, onToggle, onTag }) {
  const score = series && scoreOf(series);
  return html`<tr>
    <td><label class="job-pick"><input type="checkbox" checked=${chosen} onChange=${onToggle}
      aria-label=${`Compare ${name}`} /></label></td>
    <th scope="row"><a class="job-link" href=${link("jobs", [job.id])} title=${job.id}>
      <span class="job-name">${name}</span></a>
      <span class="muted small job-method">${job.method.type} · ${job.model}</span></th>
    <td class="job-state"><${StateBadge} job=${job} />
      ${!hasEnded(job) && html`<${ProgressBar} job=${job} />`}
      <p class=${`small job-where ${job.status === "failed" ? "failed" : "muted"}`}>${whereabouts(job)}</p></td>
    <td class="job-score">${score ? html`${score.text} <span class="muted small">${score.label}</span>` : "–"}</td>
    <td>${series ? html`<${Sparkline} ...${lossOf(series)} />` : "–"}</td>
    <td class="number">${job.progress.tokens ? compact(job.progress.tokens) : "–"}</td>
    <td class="job-time"><span>${duration(secondsOf(job, Date.now()))}</span>
      <span class="muted small" title=${date(job.created_at)}>${ago(job.created_at)}</span></td>
    <td><span class="job-tags">${tagsOf(job).map(
      (tag) => html`<button type="button" class="badge tag" onClick=${() => onTag(tag)}
        aria-label=${`Show jobs with ${tag}`}>${tag}</button>`,
    )}</span></td>
  </tr>`;
}

function Sparkline({ label, points }) {
  const line = sparkline(points, WIDTH - 4, HEIGHT - 4);
  if (!line) return "–";
  const said = `${label}: from ${points[0].value.toPrecision(3)} to ${points.at(-1).value.toPrecision(3)}`;
  return html`<svg class="sparkline" role="img" aria-label=${said} width=${WIDTH} height=${HEIGHT}
    viewBox=${`-2 -2 ${WIDTH} ${HEIGHT}`}><title>${said}</title><polyline points=${line} /></svg>`;
}
