// A new job: files, a model to begin from, how long; everything else has a default.
import { ask, change, get } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { html, useEffect, useMemo, useRef, useSignal } from "../../core/html.js";
import { link, navigate, route } from "../../core/router.js";
import { Button, Details, Field, Segmented, Select, TextArea, TextField } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Columns } from "./columns.js";
import { draft, LIMITS, suggests } from "./draft.js";
import { Estimate } from "./estimate.js";
import { AdvancedSettings } from "./fields.js";
import { loadMethods, methods, methodsError } from "./methods.js";
import { Previews } from "./previews.js";
import { RepeatedEvaluation } from "./repeated.js";
import { parseSearch, sweepBody } from "./search.js";
import { SWEEPS } from "./sweeps.js";
import { isAddress, remoteFile, Uploads } from "./uploads.js";
import { JOBS } from "./watch.js";

const MODALITIES = [
  { value: "text", label: "Text" },
  { value: "image", label: "Pictures" },
  { value: "audio", label: "Sound" },
  { value: "video", label: "Video" },
];
const SETTLED = 400; // ms without a change, before the server is asked what it would take

export function NewJob() {
  const { params } = route.value;
  const job = useMemo(draft, []);
  const validation = useMemo(latest, []);
  const workers = useSignal([]);
  const failed = useSignal(null);
  const sending = useSignal(false);
  useEffect(() => {
    loadMethods();
    get("/v1/workers").then(
      (found) => (workers.value = found.data),
      () => {},
    );
    if (MODALITIES.some(({ value }) => value === params.modality)) job.modality.value = params.modality;
    return () => {
      validation.clear();
      job.files.abort();
    };
  }, []);
  useLikeness(job, params.like, (error) => (failed.value = error));
  useSuggestion(job, Boolean(params.modality || params.like));

  const request = job.request.value;
  const text = JSON.stringify(request);
  useEffect(() => {
    if (request) void validation.run((signal) => ask(`${JOBS}/validate`, request, { signal }), SETTLED);
    else validation.clear();
  }, [text]);

  if (methodsError.value)
    return html`<div class="view"><h1>New job</h1>
      <${ErrorNote} error=${methodsError.value} retry=${loadMethods} /></div>`;
  if (!methods.value) return html`<div class="view"><h1>New job</h1><${Waiting} /></div>`;

  const errors = { ...job.parsed.value.errors, ...fieldError(failed.value ?? validation.error.value) };
  const submit = async (event) => {
    event.preventDefault();
    if (!request || sending.value) return;
    const sweep = sweepBody(request, job.search.value, job.count.value);
    sending.value = true;
    failed.value = null;
    try {
      // Sent again after an interruption under the same key, it makes one job all the same.
      const created = await change("POST", sweep ? SWEEPS : JOBS, sweep ?? request, {
        headers: { "content-type": "application/json", "idempotency-key": randomKey() },
        resend: true,
      });
      navigate("jobs", sweep ? ["sweeps", created.id] : [created.id]);
    } catch (error) {
      failed.value = error;
      sending.value = false;
    }
  };
  const minutes = Number(job.lengths.value.find(({ name }) => name === "max_minutes")?.text) || null;
  return html`<div class="view">
    <div class="stack head"><nav aria-label="Where this is"><a class="small back" href=${link("jobs")}>
      All jobs</a></nav>
      <div class="view-head"><div><h1>New job</h1><p class="lead">
        Give it files and a model to begin from. Everything else has a default that works unattended.</p></div></div>
          </div>
    <form class="new-job" onSubmit=${submit} novalidate>
      <div class="stack form">
        <section class="panel stack"><h2>Files</h2>
          <${Uploads} files=${job.files} error=${errors.training_file ?? errors.training_files} />
          <${Columns} message=${errors.training_file}
            onChoose=${(option, name) => (job.values.value = { ...job.values.value, [option]: name })} />
          ${job.heldOut.value && html`<${HeldOut} job=${job} error=${errors.validation_file} />`}</section>
        ${request && !validation.error.value && html`<${Previews} previews=${validation.value.value?.previews} />`}
        <section class="panel stack"><h2>Model</h2><${ModelFields} job=${job} errors=${errors} /></section>
        <section class="panel stack"><h2>Training</h2><${LengthFields} job=${job} errors=${errors} />
          <${RepeatedEvaluation} job=${job} error=${errors.evaluations} />
          <${AdvancedSettings} groups=${job.groups.value} values=${job.values.value} errors=${errors}
            config=${job.preset.value?.config}
            onInput=${(name, value) => (job.values.value = { ...job.values.value, [name]: value })} />
          <${SearchFields} job=${job} open=${Boolean(params.search)} /></section>
      </div>
      <aside class="aside panel stack">
        <${Estimate} validation=${validation} modality=${job.modality.value} minutes=${minutes} workers=${workers.value}
          files=${job.files.entries.value.length > 0} ready=${Boolean(request)} />
        ${failed.value && html`<${ErrorNote} error=${failed.value} />`}
        <${Button} kind="primary" type="submit" busy=${sending.value}
          disabled=${!request || validation.error.value?.status < 500 || Boolean(parseSearch(job.search.value).error)}>
          ${job.search.value.trim() ? "Start sweep" : "Start training"}<//>
        ${!request && html`<p class="small muted">${missing(job)}</p>`}
      </aside>
    </form>
  </div>`;
}

function ModelFields({ job, errors }) {
  const { method, model, ofModality, continued } = job;
  const origin = job.preset.value
    ? "A new model of this size, with random weights"
    : "Goes on with what this model has learnt";
  const pinned = model.value?.includes("@") ? [model.value] : [];
  return html`
    <${Segmented} label="Kind of data" value=${job.modality.value} options=${MODALITIES}
      onChange=${(next) => (job.modality.value = next)} />
    <div class="field-grid">
      <${Field} label="Begin from"
        hint=${origin} error=${errors.model}>${(id, note) => html`
        <select id=${id} value=${model.value} aria-describedby=${note}
          onChange=${(e) => (job.modelId.value = e.target.value)}>
          ${
            method.value.presets.length > 0 &&
            html`<optgroup label="From scratch">
            ${method.value.presets.map(
              ({ id: each, config }) => html`
              <option value=${each} selected=${each === model.value}>${each} (${sizeOf(config)})</option>`,
            )}</optgroup>`
          }
          ${
            (continued.value.length > 0 || pinned.length > 0) &&
            html`<optgroup label="Continue">
            ${[...new Set([...pinned, ...continued.value.map((each) => each.id)])].map(
              (each) => html`
              <option value=${each} selected=${each === model.value}>${each}</option>`,
            )}</optgroup>`
          }
        </select>`}<//>
      <${Select} label="Objective" value=${method.value.id} onChange=${(next) => (job.methodId.value = next)}
        hint=${method.value.description}
        options=${ofModality.value.map(({ id }) => ({ value: id, label: OBJECTIVES[id] ?? id }))} />
      <${TextField} label="Name of the result" value=${job.name.value} onInput=${(next) => (job.name.value = next)}
        error=${errors.name}
        placeholder=${`${(model.value ?? "").split("@")[0]}-…`} hint="A name that exists gets its next version"
          autocomplete="off" spellcheck="false" />
    </div>`;
}

const OBJECTIVES = {
  mlm: "Masked language modelling",
  contrastive: "Contrastive (sentence embeddings)",
  mae: "Masked autoencoder (MAE)",
  simmim: "SimMIM",
  audiomae: "AudioMAE",
  wav2vec2: "wav2vec 2.0",
  videomae: "VideoMAE",
};

const sizeOf = (config) => `${config.num_hidden_layers} layers of ${config.hidden_size}`;

/** A line of what was taken over from another job, to be left out by a click. */
const Taken = ({ text, what, onRemove }) => html`<div class="row"><span class="small">${text}</span>
    <${Button} kind="quiet" class="small" icon="close" aria-label=${`Leave out ${what}`} onClick=${onRemove} /></div>`;

const HeldOut = ({ job, error }) => html`
  <${Taken} text=${`Held out: ${job.heldOut.value.filename}`} what=${job.heldOut.value.filename}
    onRemove=${() => (job.heldOut.value = null)} />
  ${error && html`<p class="field-error" role="alert">${error}</p>`}`;

function LengthFields({ job, errors }) {
  const { name, text } = job.limit.value;
  const [, ...further] = job.lengths.value;
  const unit = (limit) => LIMITS.find(({ value }) => value === limit).label;
  const remove = (limit) => (job.further.value = job.further.value.filter((each) => each.name !== limit));
  return html`<div class="field-grid">
    <${TextField} label="Train for" value=${text} onInput=${(next) => (job.limit.value = { name, text: next })}
      inputmode="decimal" error=${errors[name]} autocomplete="off" />
    <${Select} label="Unit" value=${name} options=${LIMITS}
      onChange=${(next) => (job.limit.value = { name: next, text })} />
  </div>
  ${further.map(
    (each) => html`
    <${Taken} key=${each.name} text=${`At most ${each.text} ${unit(each.name)}, too`}
      what=${`the limit of ${unit(each.name)}`} onRemove=${() => remove(each.name)} />`,
  )}
  ${job.kept.value.map(
    ({ name: each, words }) => html`
    <${Taken} key=${each} text=${words} what=${each}
      onRemove=${() => (job.kept.value = job.kept.value.filter((other) => other.name !== each))} />`,
  )}`;
}

/** The values that a sweep tries: each combination is a job, and the best one publishes its model. */
function SearchFields({ job, open }) {
  const { error } = parseSearch(job.search.value);
  return html`<${Details} summary="Search: try several settings, and keep the best" open=${open}><div class="stack">
    <${TextArea} label="Values to try" value=${job.search.value} onInput=${(next) => (job.search.value = next)}
      error=${error} spellcheck="false"
      placeholder=${"learning_rate = 5e-4, 1e-3, 2e-3\nbatch_tokens = 2048, 8192"}
      hint="One hyperparameter per line, with a list of values, or with a range for random jobs: 1e-4..1e-2:log" />
    <${TextField} label="Number of random jobs" value=${job.count.value} onInput=${(next) => (job.count.value = next)}
      inputmode="numeric" autocomplete="off" hint="Without a number, every combination is a job" /></div>
  <//>`;
}

/**
 * The field that an answer of the server's is about: {patch_size: "…"}.
 * @returns {Record<string, string>}
 */
function fieldError(error) {
  if (!error?.param) return {};
  const names = error.param.split(".");
  return { [names[0] === "evaluations" ? names[0] : names.at(-1)]: error.message };
}

function missing(job) {
  const entries = job.files.entries.value;
  if (!entries.length) return "Files are missing.";
  if (entries.some((entry) => entry.error)) return "A file could not be sent: send it again or leave it out.";
  if (entries.some((entry) => !entry.id)) return "Files are on their way.";
  return "A setting is not valid.";
}

/** A file's record; null for one that is gone. */
const find = (id) =>
  isAddress(id)
    ? Promise.resolve(remoteFile(id))
    : get(`/v1/files/${id}`).catch((error) => {
        if (error.status === 404) return null;
        throw error;
      });

/** Fills the form as another job was. */
function useLikeness(job, id, onError) {
  useEffect(() => {
    if (!id || !methods.value) return;
    (async () => {
      try {
        const other = await get(`${JOBS}/${id}`);
        const files = other.training_files.map((file) => (file.id ? file : { id: file, weight: 1 }));
        const stored = await Promise.all(files.map(({ id: each }) => find(each)));
        const held = other.validation_file ? await find(other.validation_file) : null;
        job.like(other, stored.map((file, at) => file && { ...file, weight: files[at].weight }).filter(Boolean), held);
      } catch (error) {
        onError(error);
      }
    })();
  }, [id, methods.value]);
}

/** The first file says what kind of data it is, unless that has been said already. */
function useSuggestion(job, told) {
  const done = useRef(told);
  const [first] = job.files.entries.value;
  useEffect(() => {
    if (!first || done.current) return;
    done.current = true;
    job.modality.value = suggests(first.name) ?? job.modality.value;
  }, [first?.key]);
}

const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
