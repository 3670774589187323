// Several runs in one chart, and how they differ.
import { get, isAbort } from "../../core/api.js";
import { compact } from "../../core/format.js";
import { html, useEffect, useMemo, useSignal } from "../../core/html.js";
import { link, route, setParams } from "../../core/router.js";
import { Chart } from "../../ui/chart.js";
import { Segmented, Select } from "../../ui/controls.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { namesOf } from "./runs.js";
import { StateBadge } from "./states.js";
import { JOBS } from "./watch.js";

const AGAIN = 3000; // ms, while one of them runs
const MOST = 12;
const FIRST = ["eval_loss", "train_loss"];
const PER_CHARACTER = "eval_bits_per_character"; // comparable where vocabularies differ
const ACROSS = [
  { value: "step", label: "Steps" },
  { value: "time", label: "Minutes" },
];

export function ComparePage() {
  const { params } = route.value;
  const ids = (params.ids ?? "").split(",").filter(Boolean).slice(0, MOST);
  const runs = useSignal(null); // [{job, metrics: Map of key → points}]
  const error = useSignal(null);
  useEffect(() => {
    const controller = new AbortController();
    let timer;
    const { signal } = controller;
    const look = async () => {
      try {
        const found = await Promise.all(
          ids.map(async (id) => {
            const [job, metrics] = await Promise.all([
              get(`${JOBS}/${id}`, { signal }),
              get(`${JOBS}/${id}/metrics?max_points=500`, { signal }),
            ]);
            return { job, metrics: new Map(metrics.data.map(({ key, points }) => [key, points])) };
          }),
        );
        runs.value = found;
        error.value = null;
        if (found.some(({ job }) => ["queued", "running"].includes(job.status))) timer = setTimeout(look, AGAIN);
      } catch (failed) {
        if (isAbort(failed) || signal.aborted) return;
        error.value = failed;
        timer = setTimeout(look, AGAIN);
      }
    };
    void look();
    return () => (controller.abort(), clearTimeout(timer));
  }, [params.ids]);

  const keys = [...new Set((runs.value ?? []).flatMap(({ metrics }) => [...metrics.keys()]))]
    .filter((key) => !key.startsWith("system/"))
    .sort();
  const vocabularies = new Set((runs.value ?? []).map(({ job }) => job.chosen?.vocabulary ?? ""));
  const differ = vocabularies.size > 1 && keys.includes(PER_CHARACTER);
  const first = differ ? [PER_CHARACTER, ...FIRST] : FIRST;
  const metric = keys.includes(params.metric) ? params.metric : (first.find((key) => keys.includes(key)) ?? keys[0]);
  const across = params.across === "time" ? "time" : "step";
  const put = (changed) => setParams({ ...params, ...changed });
  return html`<div class="view">
    <div class="stack head"><nav aria-label="Where this is"><a class="small back" href=${link("jobs")}>
      All jobs</a></nav>
      <div class="view-head"><div><h1>Compare</h1><p class="lead">The same figure of several runs.</p></div></div></div>
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${
      !ids.length &&
      html`<${Empty} title="Nothing to compare" text="Choose two or more jobs in the list.">
      <a class="button primary" href=${link("jobs")}>All jobs</a><//>`
    }
    ${ids.length > 0 && !runs.value && !error.value && html`<${Waiting} />`}
    ${
      runs.value &&
      html`<section class="panel stack" aria-label="Chart">
        <div class="row between">
          ${
            metric &&
            html`
            <${Select} label="Figure" value=${metric} options=${keys} onChange=${(next) => put({ metric: next })} />`
          }
          <${Segmented} label="Across" value=${across} options=${ACROSS}
            onChange=${(next) => put({ across: next === "step" ? null : next })} />
        </div>
        ${
          differ &&
          html`<p class="small muted">
          The vocabularies differ, so compare bits per character: losses per token measure different tokens.</p>`
        }
        ${
          metric
            ? html`<${Lines} runs=${runs.value} metric=${metric} across=${across} />`
            : html`<p class="muted">
          None of them has measured anything yet.</p>`
        }
      </section>
      <${Differences} runs=${runs.value} metric=${metric} />`
    }
  </div>`;
}

function Lines({ runs, metric, across }) {
  const series = useMemo(() => {
    const names = namesOf(runs.map(({ job }) => job));
    return runs.map(({ job, metrics }) => {
      const points = metrics.get(metric) ?? [];
      const begin = job.started_at ?? points[0]?.time ?? 0;
      return {
        label: names.get(job.id),
        points: points.map(({ step, value, time }) => ({
          x: across === "step" ? step : (time - begin) / 60,
          y: value,
        })),
      };
    });
  }, [runs, metric, across]);
  const format = (value) => (Math.abs(value) >= 1000 ? compact(value) : String(Number(value.toPrecision(3))));
  return html`
    <${Chart} label=${`${metric} of ${runs.length} runs`} series=${series} height=${320}
      xLabel=${across === "step" ? "step" : "minutes"} yLabel=${metric} format=${format} />`;
}

/** A column a run: its state, its last figure, and the settings in which they are not all alike. */
function Differences({ runs, metric }) {
  const all = runs.map(({ job }) => ({
    model: job.model,
    method: job.method.type,
    files: job.training_files.map((file) => file.id ?? file).join(", "),
    ...job.hyperparameters,
  }));
  const names = [...new Set(all.flatMap(Object.keys))].filter(
    (name) => new Set(all.map((each) => JSON.stringify(each[name]))).size > 1,
  );
  const titles = namesOf(runs.map(({ job }) => job));
  const shown = (value) => (value === null || value === undefined ? "–" : String(value));
  return html`<div class="panel table-scroll" tabindex="0" role="group" aria-label="Differences">
    <table class="differences">
    <thead><tr><th scope="col"><span class="visually-hidden">Setting</span></th>
      ${runs.map(({ job }) => html`<th scope="col"><a href=${link("jobs", [job.id])}>${titles.get(job.id)}</a></th>`)}
        </tr></thead>
    <tbody>
      <tr><th scope="row">State</th>${runs.map(({ job }) => html`<td><${StateBadge} job=${job} /></td>`)}</tr>
      ${
        metric &&
        html`<tr><th scope="row">${metric}, last</th>
        ${runs.map(({ metrics }) => html`<td>${shown(metrics.get(metric)?.at(-1)?.value.toPrecision(5))}</td>`)}</tr>`
      }
      ${names.map(
        (name) => html`<tr><th scope="row">${name}</th>
        ${all.map((each) => html`<td>${shown(each[name])}</td>`)}</tr>`,
      )}
    </tbody></table></div>`;
}
