// One job: where it is, how it learns, and what can be asked of it.
import { compact, date, duration, number } from "../../core/format.js";
import { html, useEffect, useMemo } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link, route, setParams } from "../../core/router.js";
import { Tabs } from "../../ui/tabs.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Icon } from "../../ui/icons.js";
import { Actions } from "./actions.js";
import { byKind } from "./artifacts.js";
import { adviceFor } from "./advice.js";
import { Checkpoints } from "./checkpoints.js";
import { Curves } from "./curves.js";
import { Events, Log } from "./log.js";
import { loadMethods, methodOf } from "./methods.js";
import { Pictures } from "./pictures.js";
import { Predictions } from "./predictions.js";
import { hasEnded, ProgressBar, StateBadge, whereabouts } from "./states.js";
import { Verdict } from "./verdict.js";
import { watch } from "./watch.js";

export function JobPage({ id }) {
  const watched = useMemo(() => watch(id), [id]);
  useEffect(() => {
    void watched.start();
    loadMethods();
    return watched.stop;
  }, [watched]);
  const job = watched.job.value;
  useEffect(() => {
    if (job?.fine_tuned_model) void refreshModels();
  }, [job?.fine_tuned_model]);
  if (!job) {
    const failed = watched.error.value;
    return html`<div class="view"><h1>Job</h1>${
      failed
        ? html`<${ErrorNote} error=${failed} retry=${failed.status === 404 ? null : () => watched.start()} /><p>
          <a href=${link("jobs")}>All jobs</a></p>`
        : html`<${Waiting} />`
    }</div>`;
  }
  const modality = methodOf(job.method.type)?.modality;
  return html`<div class="view">
    <div class="stack head">
      <nav aria-label="Where this is"><a class="small back" href=${link("jobs")}>All jobs</a></nav>
      <div class="view-head">
        <div><div class="row"><h1>${job.name}</h1><${StateBadge} job=${job} /></div>
          <p class="lead">${job.method.type} from ${job.model}${
            job.sweep && html`, in <a href=${link("jobs", ["sweeps", job.sweep])}>a sweep</a>`
          }</p></div>
        <${Actions} job=${job} modality=${modality} put=${watched.put} />
      </div>
    </div>
    ${watched.error.value && html`<${ErrorNote} error=${watched.error.value} retry=${() => watched.start()} />`}
    ${job.verdict && html`<${Verdict} verdict=${job.verdict} />`}
    ${job.error && job.status === "failed" && html`<${Failure} job=${job} />`}
    <section class="panel stack" aria-label="Progress">
      ${!hasEnded(job) && html`<${ProgressBar} job=${job} />`}
      ${!hasEnded(job) && html`<p role="status">${whereabouts(job)}</p>`}
      <${Facts} job=${job} />
    </section>
    <${Views} job=${job} watched=${watched} />
  </div>`;
}

function Failure({ job }) {
  const [reason, ...rest] = job.error.message.split("\n");
  return html`<section class="note failed failure" role="alert"><${Icon} name="warning" /><div class="stack">
    <p><strong>${reason}</strong></p>
    ${
      rest.length > 0 &&
      html`<pre class="log" tabindex="0" aria-label="More of the reason"><code>
      ${rest.join("\n")}</code></pre>`
    }
    <p>${adviceFor(job.error)}</p>
    <p class="muted">${job.error.code}${job.error.param ? `, ${job.error.param}` : ""}</p></div></section>`;
}

function Facts({ job }) {
  const { progress } = job;
  const end = job.finished_at ?? (job.status === "running" ? Date.now() / 1000 : null);
  const facts = [
    ["Steps", hasEnded(job) ? number(progress.step) : null],
    ["Trained on", progress.tokens ? `${compact(progress.tokens)} tokens, ${number(progress.epoch)} epochs` : null],
    ["Started", job.started_at ? date(job.started_at) : null],
    ["Took", job.started_at && end ? duration(end - job.started_at) : null],
    ["Ends about", job.estimated_finish ? date(job.estimated_finish) : null],
    ["Published as", job.fine_tuned_model],
    ["Attempts", job.attempts > 1 ? String(job.attempts) : null],
    ["Retried", job.retries ? `${job.retries} ×` : null],
    ["Extended", job.extensions ? `${job.extensions} ×` : null],
    ["Deadline", job.deadline ? date(job.deadline) : null],
  ].filter(([, value]) => value);
  return html`<dl class="job-facts">
    ${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Views({ job, watched }) {
  const { pictures, predictions } = byKind(watched.artifacts.value);
  const tabs = [
    { id: "curves", label: "Curves" },
    ...(pictures.length ? [{ id: "pictures", label: "Pictures" }] : []),
    ...(predictions.length ? [{ id: "predictions", label: "Predictions" }] : []),
    { id: "events", label: "Events" },
    { id: "log", label: "Log" },
    { id: "checkpoints", label: "Checkpoints" },
    { id: "settings", label: "Settings" },
  ];
  const asked = route.value.params.tab;
  const chosen = tabs.some((tab) => tab.id === asked) ? asked : "curves";
  const panel = {
    curves: () =>
      html`<${Curves} id=${job.id} series=${watched.series.value} test=${job.chosen?.learning_rate_test} />`,
    pictures: () => html`<${Pictures} id=${job.id} names=${pictures} psnr=${watched.series.value.get("eval_psnr")} />`,
    predictions: () => html`<${Predictions} id=${job.id} names=${predictions} />`,
    events: () => html`<${Events} events=${watched.messages.value} />`,
    log: () => html`<${Log} job=${job} />`,
    checkpoints: () => html`<${Checkpoints} job=${job} messages=${watched.messages.value.length} />`,
    settings: () => html`<${Settings} job=${job} />`,
  }[chosen];
  return html`
    <${Tabs} label="What is known of the job" tabs=${tabs} chosen=${chosen}
      onChoose=${(tab) => setParams({ tab: tab === "curves" ? null : tab })}>${panel()}<//>`;
}

function Settings({ job }) {
  const schema = methodOf(job.method.type)?.hyperparameters.properties ?? {};
  const rows = Object.entries(job.hyperparameters).map(([name, value]) => ({
    name,
    value,
    changed: schema[name] && schema[name].default !== value,
  }));
  const chosen = job.chosen ?? {};
  const shown = (value) => (value === null ? "chosen for the job" : String(value));
  const rest = Object.entries(chosen).filter(
    ([name, value]) => !(name in job.hyperparameters) && typeof value !== "object",
  );
  const ids = job.training_files.map((file) => file.id ?? file).join(", ");
  const files = `${job.training_files.length === 1 ? "File" : "Files"}: ${ids}`;
  const heldOut = job.validation_file ? `; held out: ${job.validation_file}` : "";
  return html`<div class="stack">
    <p class="small muted">
      ${files}${heldOut}. What differs from the default is marked.</p>
    <dl class="settings">
      ${rows
        .toSorted((a, b) => Number(b.changed) - Number(a.changed))
        .map(
          ({ name, value, changed }) => html`
        <div class=${changed ? "changed" : ""}><dt><code>${name}</code></dt>
          <dd>${shown(value ?? chosen[name] ?? null)}</dd></div>`,
        )}</dl>
    ${
      rest.length > 0 &&
      html`<h2>Chosen for this job</h2>
      <dl class="settings">
        ${rest.map(([name, value]) => html`<div><dt><code>${name}</code></dt><dd>${String(value)}</dd></div>`)}</dl>`
    }
  </div>`;
}
