// One evaluation: its progress, the curve and the table, while it computes and afterwards.
import { change, get, isAbort, send } from "../../core/api.js";
import { pause, reconnections } from "../../core/connection.js";
import { download } from "../../core/download.js";
import { duration, number } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link, navigate } from "../../core/router.js";
import { Button } from "../../ui/controls.js";
import { ErrorNote, Note, Waiting } from "../../ui/status.js";
import { toastError } from "../../ui/toast.js";
import { hasEnded, StateBadge } from "../jobs/states.js";
import { curvesOf, scoreText } from "./curves.js";
import { Figures } from "./figures.js";
import { EmbeddingMap } from "./map.js";
import { MistakesOf } from "./mistakes.js";
import { Plot } from "./plot.js";

const PAUSE = 1000; // ms between two looks at an evaluation under way
const REPORT = "report.json";

export function EvaluationPage({ id }) {
  const path = `/v1/evaluations/${id}`;
  const job = useSignal(null);
  const report = useSignal(null);
  const files = useSignal([]); // names
  const error = useSignal(null);
  useEffect(() => {
    const controller = new AbortController();
    void follow(path, { job, report, files, error }, controller.signal);
    return () => controller.abort();
  }, [reconnections.value]);
  const cancel = async () => {
    try {
      job.value = await change("POST", `${path}/cancel`);
    } catch (failed) {
      toastError(failed);
    }
  };
  const remove = async () => {
    try {
      await change("DELETE", path);
      navigate("evaluate");
    } catch (failed) {
      toastError(failed);
    }
  };
  if (error.value && !job.value) return html`<div class="view"><${ErrorNote} error=${error.value} /></div>`;
  if (!job.value) return html`<div class="view"><${Waiting} /></div>`;
  const ended = hasEnded(job.value);
  return html`<div class="view">
    <div class="view-head">
      <div><p class="small"><a href=${link("evaluate")}>Evaluations</a></p><h1>${job.value.name}</h1>
        <p class="row"><${StateBadge} job=${job.value} /><span class="small muted">
          ${job.value.models.join(", ")}</span></p></div>
      ${
        ended
          ? html`<${Button} kind="danger" onClick=${remove}>Delete<//>`
          : html`<${Button} disabled=${job.value.cancel_requested} onClick=${cancel}>Cancel<//>`
      }
    </div>
    ${!ended && html`<${Under} job=${job.value} />`}
    ${job.value.error && html`<${Note} kind="warning">${job.value.error.message}<//>`}
    ${job.value.result_model && html`<${Published} model=${job.value.result_model} />`}
    ${report.value && html`<${Report} report=${report.value} />`}
    ${job.value.status === "succeeded" && html`<${Files} path=${path} names=${files.value} />`}
  </div>`;
}

async function follow(path, { job, report, files, error }, signal) {
  while (!signal.aborted) {
    try {
      job.value = await get(path, { signal });
      files.value = (await get(`${path}/artifacts`, { signal })).data.map((file) => file.name);
      if (files.value.includes(REPORT)) {
        report.value = await get(`${path}/artifacts/${REPORT}`, { signal });
      }
      error.value = null;
      if (hasEnded(job.value)) {
        if (job.value.result_model) void refreshModels();
        return;
      }
    } catch (failed) {
      if (isAbort(failed)) return;
      error.value = failed;
    }
    await pause(PAUSE, signal).catch(() => {});
  }
}

/** Whether the methods of a report learn from labels. */
function hasLabels(report) {
  return report.labels_per_class.length > 0;
}

function Published({ model }) {
  return html`<div class="panel row between"><p>Published <a href=${link("models", [model])}>${model}</a>,
    which classifies.</p><a class="button primary" href=${link("classify", [], { model })}>Try it</a></div>`;
}

function Files({ path, names }) {
  const save = (name) => async () => {
    try {
      download(name, await (await send(`${path}/artifacts/${name}`)).blob());
    } catch (failed) {
      toastError(failed);
    }
  };
  return html`<div class="row"><span class="small muted">Files</span>${names.map(
    (name) => html`<${Button} class="small" key=${name} onClick=${save(name)}>${name}<//>`,
  )}</div>`;
}

function Under({ job }) {
  const left = job.progress.eta_seconds;
  const text = job.queue_reason ?? (left === null ? "Getting ready" : `About ${duration(left)} left`);
  return html`<div class="stack" role="status"><progress max="100" value=${job.progress.percent}
    aria-label=${`Progress of ${job.name}`}></progress><p class="small muted">${text}</p></div>`;
}

function Report({ report }) {
  const { data } = report;
  const classes = Object.entries(data.classes).map(([name, count]) => `${name} (${count})`);
  const among = classes.length ? ` in ${classes.length} classes: ${classes.slice(0, 20).join(", ")}` : "";
  return html`<section class="panel stack">
      ${report.summary.length > 0 && html`<p class="evaluation-summary">${report.summary.join(" ")}</p>`}
      ${report.advice && html`<p class="muted">${report.advice}</p>`}
      ${
        hasLabels(report)
          ? html`<${Plot} report=${report} /><${Scores} report=${report} />`
          : html`<${Figures} report=${report} />`
      }
    </section>
    ${(report.mistakes ?? []).map(
      (mistakes) => html`<${MistakesOf} key=${mistakes.model} mistakes=${mistakes} report=${report} />`,
    )}
    ${report.map && html`<${EmbeddingMap} report=${report} />`}
    <section class="panel stack"><h2>Data and models</h2>
      <p class="small">${number(data.items)} items${among}.${
        data.skipped_rows > 0 ? ` Rows left out: ${number(data.skipped_rows)}.` : ""
      }${data.dropped_duplicates > 0 ? ` Duplicates dropped: ${number(data.dropped_duplicates)}.` : ""}</p>
      ${report.warnings.map((text) => html`<${Note} key=${text} kind="warning">${text}<//>`)}
      ${data.skipped.length > 0 && html`<${Skipped} rows=${data.skipped} />`}
      <${Spreads} report=${report} />
    </section>`;
}

function Scores({ report }) {
  const counts = report.labels_per_class;
  return html`<div class="table-scroll"><table><thead><tr><th scope="col">${report.metric}</th>
    ${counts.map((count) => html`<th class="number" scope="col" key=${count}>${count}</th>`)}</tr></thead>
    <tbody>${curvesOf(report).map(
      (curve) =>
        html`<tr key=${curve.key}><th scope="row">${curve.label}</th>${counts.map(
          (count) => html`<td class="number" key=${count}>
          ${scoreText(curve.points.find((point) => point.count === count))}</td>`,
        )}</tr>`,
    )}</tbody></table></div>`;
}

function Spreads({ report }) {
  const clusters = new Map(report.results.filter((r) => r.method === "kmeans").map((r) => [r.model, r.metrics]));
  const rows = report.models.filter((model) => model.dimensions);
  if (!rows.length) return null;
  return html`<div class="table-scroll"><table><thead><tr><th scope="col">Model</th>
    ${["Dimensions", "RankMe", "Mean cosine", "k-means NMI", "k-means accuracy"].map(
      (title) => html`<th class="number" scope="col" key=${title}>${title}</th>`,
    )}</tr></thead><tbody>${rows.map(
      (model) => html`<tr key=${model.id}><th scope="row">${model.id}</th>
        <td class="number">${model.dimensions}</td><td class="number">${model.rank_me.toFixed(1)}</td>
        <td class="number">${model.mean_cosine.toFixed(3)}</td>
        <td class="number">${clusters.get(model.id)?.nmi.mean.toFixed(3) ?? "–"}</td>
        <td class="number">${clusters.get(model.id)?.accuracy.mean.toFixed(3) ?? "–"}</td></tr>`,
    )}</tbody></table></div>`;
}

function Skipped({ rows }) {
  return html`<ul class="small evaluation-skipped" aria-label="Rows that were left out">
    ${rows.slice(0, 20).map((row) => html`<li key=${row.place}>${row.place}: ${row.reason}</li>`)}
    ${rows.length > 20 && html`<li>and ${rows.length - 20} more, in report.json</li>`}</ul>`;
}
