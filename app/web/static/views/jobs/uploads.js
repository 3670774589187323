// The files of a new job: sent as soon as they are dropped, one after the other.
import { get, isAbort } from "../../core/api.js";
import { ago, bytes } from "../../core/format.js";
import { html, signal, useEffect, useSignal } from "../../core/html.js";
import { upload } from "../../core/upload.js";
import { Button, Details, DropZone } from "../../ui/controls.js";
import { ErrorNote } from "../../ui/status.js";

/**
 * {entries, add(files), remove(entry), put(stored), abort(), again(entry)}
 * entries: a signal of [{key, name, size, weight, id, progress, error}].
 */
export function uploads() {
  const entries = signal([]);
  let queue = Promise.resolve();
  let count = 0;

  const change = (key, changes) =>
    (entries.value = entries.value.map((each) => (each.key === key ? { ...each, ...changes } : each)));

  function add(files) {
    for (const file of files) {
      const key = ++count;
      const controller = new AbortController();
      entries.value = [
        ...entries.value,
        { key, name: file.name, size: file.size, weight: 1, id: null, progress: 0, error: null, controller, file },
      ];
      queue = queue.then(() => run(key, file, controller.signal));
    }
  }

  async function run(key, file, aborted) {
    if (aborted.aborted) return;
    change(key, { error: null, progress: 0 });
    try {
      const stored = await upload(file, { signal: aborted, onProgress: (progress) => change(key, { progress }) });
      change(key, { id: stored.id, progress: 1 });
    } catch (error) {
      if (!isAbort(error)) change(key, { error });
    }
  }

  function remove(entry) {
    entry.controller?.abort();
    entries.value = entries.value.filter((each) => each.key !== entry.key);
  }

  /** Cancels uploads that have not ended. Nothing will use them. */
  function abort() {
    for (const { id, controller } of entries.value) if (!id) controller?.abort();
  }

  /** A file that is there already, with the weight that it had in another job. */
  function put(stored) {
    if (entries.value.some((each) => each.id === stored.id)) return;
    entries.value = [
      ...entries.value,
      {
        key: ++count,
        name: stored.filename,
        size: stored.bytes,
        weight: stored.weight ?? 1,
        id: stored.id,
        progress: 1,
        error: null,
      },
    ];
  }

  const again = (entry) => (queue = queue.then(() => run(entry.key, entry.file, entry.controller.signal)));

  return { entries, add, remove, abort, put, again };
}

export function Uploads({ files, error }) {
  return html`<div class="stack uploads">
    <${DropZone} multiple label="Drop files here, or choose some" onFiles=${files.add}
      hint="Text, tables, FASTA, FASTQ or SMILES; source code, pictures, sounds and videos as one .zip or .tar" />
    ${
      files.entries.value.length > 0 &&
      html`<ul class="upload-list">
      ${files.entries.value.map((entry) => html`<${Upload} key=${entry.key} entry=${entry} files=${files} />`)}</ul>`
    }
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
    <${Details} summary="Use files that were uploaded before"><${Stored} files=${files} /><//>
  </div>`;
}

function Upload({ entry, files }) {
  const state = entry.error
    ? entry.error.message
    : entry.id
      ? `${bytes(entry.size)}${entry.weight === 1 ? "" : `, weight ${entry.weight}`}`
      : `${Math.round(entry.progress * 100)}% of ${bytes(entry.size)}`;
  return html`<li class=${`upload ${entry.error ? "failed" : ""}`}>
    <span class="upload-name">${entry.name}</span>
      <span class="small muted upload-state" role=${entry.error ? "alert" : undefined}>${state}</span>
    ${
      !entry.id &&
      !entry.error &&
      html`
      <progress max="1" value=${entry.progress} aria-label=${`Upload of ${entry.name}`}></progress>`
    }
    ${entry.error && entry.file && html`<${Button} class="small" onClick=${() => files.again(entry)}>Send again<//>`}
    <${Button} kind="quiet" class="small" icon="close" aria-label=${`Leave out ${entry.name}`}
      onClick=${() => files.remove(entry)} /></li>`;
}

function Stored({ files }) {
  const found = useSignal(null);
  const error = useSignal(null);
  useEffect(() => {
    get("/v1/files?limit=100").then(
      (page) => (found.value = page.data),
      (failed) => (error.value = failed),
    );
  }, []);
  if (error.value) return html`<${ErrorNote} error=${error.value} />`;
  if (found.value?.length === 0) return html`<p class="small muted">There are none yet.</p>`;
  const has = (id) => files.entries.value.some((each) => each.id === id);
  const toggle = (stored) =>
    has(stored.id) ? files.remove(files.entries.value.find((each) => each.id === stored.id)) : files.put(stored);
  return html`<ul class="stored-list">${(found.value ?? []).map(
    (stored) => html`<li key=${stored.id}><label class="stored">
    <input type="checkbox" checked=${has(stored.id)} onChange=${() => toggle(stored)} />
    <span class="upload-name">${stored.filename}</span><span class="small muted">
      ${bytes(stored.bytes)}, ${ago(stored.created_at)}</span></label></li>`,
  )}</ul>`;
}
