// Imports: a model of the hub or an uploaded archive comes into the store.
import { change, get, isAbort } from "../../core/api.js";
import { ago } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link } from "../../core/router.js";
import { upload } from "../../core/upload.js";
import { Button, Details, DropZone, TextField } from "../../ui/controls.js";
import { ErrorNote } from "../../ui/status.js";
import { toastError } from "../../ui/toast.js";

const PAUSE = 1000; // ms between two looks at imports under way
const SHOWN = 5;
const ENDED = ["succeeded", "failed", "cancelled"];
const ARCHIVES = ".tar,.gz,.tgz,.xz,.zst,.zip";

/** The form of a new import, and the latest imports. */
export function Imports() {
  const jobs = useSignal([]);
  const round = useSignal(0); // counts the requests to look again
  const open = useSignal(false);
  useEffect(() => (open.value ? follow(jobs) : undefined), [open.value, round.value]);
  return html`<${Details} summary="Import a model" onToggle=${(event) => (open.value = event.target.open)}>
    <${Form} onStarted=${() => (round.value += 1)} />
    ${
      jobs.value.length > 0 &&
      html`<ul class="import-list" aria-label="Latest imports">
      ${jobs.value.map(
        (job) => html`<li key=${job.id}><${Import} job=${job} onChanged=${() => (round.value += 1)} /></li>`,
      )}</ul>`
    }
  <//>`;
}

/** Reads the latest imports until none is under way. Returns the function that stops it. */
function follow(jobs) {
  const controller = new AbortController();
  let timer = 0;
  const look = async () => {
    try {
      const before = jobs.peek().filter((job) => !ENDED.includes(job.status));
      jobs.value = (await get(`/v1/imports?limit=${SHOWN}`, { signal: controller.signal })).data;
      const active = jobs.value.filter((job) => !ENDED.includes(job.status));
      if (before.some((job) => !active.find((each) => each.id === job.id))) void refreshModels();
      if (active.length) timer = setTimeout(look, PAUSE);
    } catch (error) {
      if (!isAbort(error) && error.status !== 503) toastError(error); // 503: a server without Redis has no imports
    }
  };
  void look();
  return () => {
    controller.abort();
    clearTimeout(timer);
  };
}

function Form({ onStarted }) {
  const source = useSignal("");
  const name = useSignal("");
  const error = useSignal(null);
  const progress = useSignal(null); // the share of an upload that is sent; null: none is under way
  const start = async (body) => {
    error.value = null;
    try {
      await change("POST", "/v1/models/import", { ...body, ...(name.value.trim() ? { name: name.value.trim() } : {}) });
      source.value = "";
      name.value = "";
      onStarted();
    } catch (failed) {
      error.value = failed;
    }
  };
  const send = async ([file]) => {
    progress.value = 0;
    try {
      const stored = await upload(file, { signal: undefined, onProgress: (share) => (progress.value = share) });
      await start({ file: stored.id });
    } catch (failed) {
      error.value = failed;
    } finally {
      progress.value = null;
    }
  };
  const submit = (event) => {
    event.preventDefault();
    void start({ source: source.value.trim() });
  };
  return html`<form class="stack import-form" onSubmit=${submit}>
    <div class="row import-fields">
      <${TextField} label="Hub id" value=${source.value} onInput=${(value) => (source.value = value)}
        placeholder="org/name" hint="A model of the Hugging Face hub, also org/name@revision" />
      <${TextField} label="Name in this store" value=${name.value} onInput=${(value) => (name.value = value)}
        hint="By default the name of the source" />
      <${Button} kind="primary" type="submit" disabled=${!source.value.trim()}>Import<//>
    </div>
    <${DropZone} label="Or drop the archive of a model here" accept=${ARCHIVES} onFiles=${send}
      hint=".tar, .tar.gz, .tar.zst or .zip, with config.json, the weights and the tokenizer" />
    ${
      progress.value !== null &&
      html`<progress max="1" value=${progress.value} aria-label="Upload of the archive"></progress>`
    }
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
  </form>`;
}

function Import({ job, onChanged }) {
  const active = !ENDED.includes(job.status);
  const cancel = async () => {
    try {
      await change("POST", `/v1/imports/${job.id}/cancel`);
      onChanged();
    } catch (failed) {
      toastError(failed);
    }
  };
  const waits = job.queue_reason ? `queued: ${job.queue_reason}` : job.status;
  return html`<span class="import-name">${job.name}</span>
    <span class="small muted">${job.source ?? "archive"}, ${ago(job.created_at)}</span>
    ${
      job.status === "succeeded"
        ? html`<a href=${link("models", [job.name])}>${job.model}</a>`
        : html`<span class=${job.error ? "field-error" : "small"}>${job.error?.message ?? waits}</span>`
    }
    ${
      active &&
      html`<progress max="100" value=${job.progress.percent} aria-label=${`Import of ${job.name}`}></progress>`
    }
    ${active && html`<${Button} class="small" disabled=${job.cancel_requested} onClick=${cancel}>Cancel<//>`}`;
}
