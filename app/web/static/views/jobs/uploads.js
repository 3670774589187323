// The files of a new job: sent as soon as they are dropped, one after the other.
import { get, isAbort } from "../../core/api.js";
import { ago, bytes, plural } from "../../core/format.js";
import { html, signal, useEffect, useSignal } from "../../core/html.js";
import { packFolder } from "../../core/tar.js";
import { upload } from "../../core/upload.js";
import { Button, Details, DropZone, FolderButton, TextField } from "../../ui/controls.js";
import { ErrorNote } from "../../ui/status.js";

const REMOTE = /^(hf|https?|s3):\/\//;

/** Whether the id of a training file is an address, which the server reads itself. */
export const isAddress = (id) => REMOTE.test(id);

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

/** stored: whether files that are there already may be chosen too, and those of other servers. */
export function Uploads({ files, error, stored = true }) {
  const note = useSignal(null);
  const addFolder = (chosen) => {
    const { file, count, hidden } = packFolder(chosen);
    const skipped = hidden ? `; ${plural(hidden, "hidden file is", "hidden files are")} left out` : "";
    note.value = file ? `${file.name} contains ${plural(count, "file")}${skipped}.` : "The folder contains no files.";
    if (file) files.add([file]);
  };
  return html`<div class="stack uploads">
    <${DropZone} multiple label="Drop files here, or choose some" onFiles=${files.add}
      hint="Text, tables, FASTA, FASTQ or SMILES; source code, pictures, sounds and videos as a folder, .zip or .tar" />
    <div class="row"><${FolderButton} label="Choose a folder" onFiles=${addFolder} />
      <span class="small muted" role="status">${note.value ?? "It becomes one data set."}</span></div>
    ${
      files.entries.value.length > 0 &&
      html`<ul class="upload-list">
      ${files.entries.value.map((entry) => html`<${Upload} key=${entry.key} entry=${entry} files=${files} />`)}</ul>`
    }
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
    ${
      stored &&
      html`<${Details} summary="Use files that were uploaded before"><${Stored} files=${files} /><//>
      <${Details} summary="Use a file of another server"><${Remote} files=${files} /><//>`
    }
  </div>`;
}

function Upload({ entry, files }) {
  const size = entry.size === null ? "on another server" : bytes(entry.size);
  const state = entry.error
    ? entry.error.message
    : entry.id
      ? `${size}${entry.weight === 1 ? "" : `, weight ${entry.weight}`}`
      : `${Math.round(entry.progress * 100)}% of ${size}`;
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

/** The record of a file that is named by its address. */
export const remoteFile = (address) => ({ id: address, filename: address, bytes: null });

function Remote({ files }) {
  const text = useSignal("");
  const wrong = useSignal(null);
  const add = () => {
    const given = text.value.trim();
    wrong.value = isAddress(given) ? null : "Expected an address that begins with hf://, https:// or s3://.";
    if (wrong.value) return;
    files.put(remoteFile(given));
    text.value = "";
  };
  return html`<div class="row remote-file">
    <${TextField} label="Address" value=${text.value} onInput=${(next) => (text.value = next)} error=${wrong.value}
      placeholder="hf://datasets/owner/name/path.parquet" autocomplete="off" spellcheck="false"
      hint="hf://, https:// or s3://, where the server's operator allows it" />
    <${Button} onClick=${add}>Add<//></div>`;
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
