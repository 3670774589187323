// Sweeps: all of them, or one with its jobs ranked.
import { change, get, isAbort } from "../../core/api.js";
import { pause, reconnections } from "../../core/connection.js";
import { ago, date } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link, navigate } from "../../core/router.js";
import { Button } from "../../ui/controls.js";
import { confirm } from "../../ui/dialog.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { toastError } from "../../ui/toast.js";
import { ParallelCoordinates } from "./parallel.js";
import { shown } from "./search.js";
import { hasEnded, StateBadge } from "./states.js";

export const SWEEPS = "/v1/sweeps";
const AGAIN = 2000; // ms

/** Looks at a path again and again, until `isDone`. Returns {found, error} as signals. */
function useLook(path, isDone) {
  const found = useSignal(null);
  const error = useSignal(null);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    (async () => {
      while (!signal.aborted && !(found.peek() && isDone(found.peek()))) {
        try {
          found.value = await get(path, { signal });
          error.value = null;
        } catch (failed) {
          if (isAbort(failed) || signal.aborted) return;
          error.value = failed;
        }
        await pause(AGAIN, signal).catch(() => {});
      }
    })();
    return () => controller.abort();
  }, [path, reconnections.value]);
  return { found, error };
}

export function SweepList() {
  const { found, error } = useLook(SWEEPS, () => false);
  const sweeps = found.value?.data;
  return html`<div class="view">
    <div class="stack head"><nav aria-label="Where this is"><a class="small back" href=${link("jobs")}>
      All jobs</a></nav>
      <div class="view-head"><div><h1>Sweeps</h1><p class="lead">
        Jobs with different settings on the same data, of which the best publishes its model.</p></div>
        <a class="button primary" href=${link("jobs", ["new"], { search: "1" })}>New sweep</a></div></div>
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${!sweeps && !error.value && html`<${Waiting} />`}
    ${
      sweeps?.length === 0 &&
      html`<div class="panel"><${Empty} title="No sweeps yet"
        text="In the form of a new job, write the values to try under “Search”." /></div>`
    }
    ${
      sweeps?.length > 0 &&
      html`<div class="panel table-scroll" tabindex="0" role="region" aria-label="Sweeps"><table class="job-table">
        <thead><tr><th scope="col">Sweep</th><th scope="col">State</th><th scope="col">Jobs</th>
          <th scope="col">Best</th><th scope="col">Result</th><th scope="col">Created</th></tr></thead>
        <tbody>${sweeps.map(
          (sweep) => html`<tr key=${sweep.id}>
            <th scope="row"><a class="job-link" href=${link("jobs", ["sweeps", sweep.id])}>
              <span class="job-name">${sweep.name}</span></a>
              <span class="muted small job-method">${sweep.parameters.join(", ")}</span></th>
            <td><${StateBadge} job=${sweep} /></td>
            <td>${sweep.ended} of ${sweep.count}</td>
            <td>${sweep.best ? shown(sweep.jobs[0].value) : "–"}</td>
            <td>${sweep.fine_tuned_model ?? "–"}</td>
            <td><span title=${date(sweep.created_at)}>${ago(sweep.created_at)}</span></td></tr>`,
        )}</tbody></table></div>`
    }
  </div>`;
}

export function SweepPage({ id }) {
  const { found, error } = useLook(`${SWEEPS}/${id}`, hasEnded);
  const sweep = found.value;
  useEffect(() => {
    if (sweep?.fine_tuned_model) void refreshModels();
  }, [sweep?.fine_tuned_model]);
  if (!sweep)
    return html`<div class="view"><h1>Sweep</h1>${
      error.value ? html`<${ErrorNote} error=${error.value} />` : html`<${Waiting} />`
    }</div>`;
  return html`<div class="view">
    <div class="stack head">
      <nav aria-label="Where this is"><a class="small back" href=${link("jobs", ["sweeps"])}>All sweeps</a></nav>
      <div class="view-head">
        <div><div class="row"><h1>${sweep.name}</h1><${StateBadge} job=${sweep} /></div>
          <p class="lead">${sweep.ended} of ${sweep.count} jobs have ended${
            sweep.fine_tuned_model ? `; published ${sweep.fine_tuned_model}` : ""
          }</p></div>
        <${Actions} sweep=${sweep} put=${(next) => (found.value = next)} />
      </div>
    </div>
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${sweep.error && html`<section class="note failed" role="alert"><p>${sweep.error.message}</p></section>`}
    ${
      !hasEnded(sweep) &&
      html`<progress max="100" value=${sweep.progress.percent} aria-label=${`Progress of ${sweep.name}`}></progress>`
    }
    <section class="panel stack" aria-label="Chart"><${ParallelCoordinates} sweep=${sweep} /></section>
    <${Ranking} sweep=${sweep} />
  </div>`;
}

function Actions({ sweep, put }) {
  const busy = useSignal(false);
  const cancel = async (publish) => {
    busy.value = true;
    try {
      put(await change("POST", `${SWEEPS}/${sweep.id}/cancel`, publish ? { publish: true } : {}));
    } catch (failed) {
      toastError(failed);
    }
    busy.value = false;
  };
  const remove = async () => {
    const text = `${sweep.name} and its ${sweep.count} jobs go for good. The published model stays.`;
    if (!(await confirm({ title: "Delete this sweep?", text, action: "Delete" }))) return;
    try {
      await change("DELETE", `${SWEEPS}/${sweep.id}`);
      navigate("jobs", ["sweeps"]);
    } catch (failed) {
      toastError(failed);
    }
  };
  if (hasEnded(sweep))
    return html`<div class="row actions">
      <a class="button" href=${link("jobs", ["compare"], { ids: sweep.jobs.map((job) => job.id).join(",") })}>
        Compare curves</a>
      <${Button} kind="quiet" icon="trash" aria-label="Delete this sweep" onClick=${remove} /></div>`;
  return html`<div class="row actions">
    ${sweep.best && html`<${Button} busy=${busy.value} onClick=${() => cancel(true)}>Stop and publish the best<//>`}
    <${Button} icon="close" busy=${busy.value} onClick=${() => cancel(false)}>Cancel<//></div>`;
}

/** The jobs, the best first, with the settings in which they differ. */
function Ranking({ sweep }) {
  return html`<div class="panel table-scroll" tabindex="0" role="region" aria-label="Ranking"><table class="job-table">
    <thead><tr><th scope="col">Rank</th><th scope="col">Job</th><th scope="col">State</th>
      <th scope="col" class="number">held-out ${sweep.measure.replaceAll("_", " ")}</th>
      ${sweep.parameters.map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
    <tbody>${sweep.jobs.map(
      (job) => html`<tr key=${job.id}>
        <td>${job.rank ?? "–"}</td>
        <th scope="row"><a class="job-link" href=${link("jobs", [job.id])}>
          <span class="job-name">${job.name}</span></a></th>
        <td><${StateBadge} job=${job} />${job.status === "running" ? ` ${Math.round(job.percent)} %` : ""}
          ${job.error && html`<p class="small job-where failed">${job.error}</p>`}
          ${job.learnt === false && html`<p class="small muted">not better than its baselines</p>`}</td>
        <td class="number">${job.value === null ? "–" : shown(job.value)}</td>
        ${sweep.parameters.map((name) => html`<td class="number">${shown(job.settings[name])}</td>`)}</tr>`,
    )}</tbody></table></div>`;
}
