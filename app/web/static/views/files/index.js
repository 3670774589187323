// Files: what was uploaded, its size, who uses it, and its deletion.
import { change, get } from "../../core/api.js";
import { reconnections } from "../../core/connection.js";
import { ago, bytes, date, plural } from "../../core/format.js";
import { html, useEffect, useMemo, useSignal } from "../../core/html.js";
import { link, route, setParams } from "../../core/router.js";
import { Button, TextField } from "../../ui/controls.js";
import { confirm } from "../../ui/dialog.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { toastError } from "../../ui/toast.js";
import { Uploads, uploads } from "../jobs/uploads.js";
import { JOBS } from "../jobs/watch.js";
import { matches, usesOf } from "./uses.js";

const LISTED = 10_000; // files
const JOBS_READ = 1000; // the newest, whose files are known
const SHOWN_USES = 3;

export function FilesView() {
  const files = useSignal(null);
  const uses = useSignal(new Map());
  const error = useSignal(null);
  const added = useMemo(uploads, []);
  const search = route.value.params.q ?? "";
  const sent = added.entries.value.filter((entry) => entry.id).length;

  const look = async () => {
    try {
      const [page, jobs] = await Promise.all([get(`/v1/files?limit=${LISTED}`), get(`${JOBS}?limit=${JOBS_READ}`)]);
      files.value = page.data;
      uses.value = usesOf(jobs.data);
      error.value = null;
    } catch (failed) {
      error.value = failed;
    }
  };
  useEffect(() => {
    void look();
  }, [sent, reconnections.value]);
  useEffect(() => added.abort, []);

  const usesOfFile = (file) => uses.value.get(file.id) ?? [];
  const found = files.value?.filter((file) => matches(file, usesOfFile(file), search)) ?? [];
  return html`<div class="view">
    <div class="view-head"><div><h1>Files</h1><p class="lead">
      Data for jobs, as they were uploaded. Files of the same content take their space once.</p></div></div>
    <section class="panel stack"><h2>Upload</h2><${Uploads} files=${added} stored=${false} /></section>
    ${error.value && html`<${ErrorNote} error=${error.value} retry=${look} />`}
    ${files.value === null && !error.value && html`<${Waiting} />`}
    ${files.value?.length === 0 && html`<${Empty} title="No files yet" text="Drop some above, or choose a folder." />`}
    ${
      files.value?.length > 0 &&
      html`<${TextField} label="Search files" type="search" value=${search}
        onInput=${(text) => setParams({ q: text || undefined })} placeholder="name, job or model"
        hint=${count(found, files.value)} />
      ${found.length > 0 && html`<${Table} files=${found} usesOfFile=${usesOfFile} onDeleted=${look} />`}`
    }
  </div>`;
}

function count(found, all) {
  const contents = new Map(found.map((file) => [file.sha256, file.bytes]));
  const size = bytes([...contents.values()].reduce((a, b) => a + b, 0));
  return found.length === all.length
    ? `${plural(all.length, "file")}, ${size}`
    : `${found.length} of ${plural(all.length, "file")}, ${size}`;
}

const Table = ({ files, usesOfFile, onDeleted }) => html`<div class="panel table-scroll" tabindex="0" role="region"
    aria-label="Files"><table class="file-table">
  <thead><tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">Uploaded</th>
    <th scope="col">Used by</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
  <tbody>${files.map(
    (file) => html`<${Row} key=${file.id} file=${file} uses=${usesOfFile(file)} onDeleted=${onDeleted} />`,
  )}</tbody></table></div>`;

function Row({ file, uses, onDeleted }) {
  const busy = useSignal(false);
  const needed = uses.some((use) => !use.ended);
  const remove = async () => {
    const text = uses.length
      ? "The jobs that have used it keep their records and models, and cannot be repeated without it."
      : "No job has used it.";
    if (!(await confirm({ title: `Delete ${file.filename}?`, text, action: "Delete" }))) return;
    busy.value = true;
    try {
      await change("DELETE", `/v1/files/${file.id}`);
    } catch (failed) {
      if (failed.status !== 404) toastError(failed);
    }
    busy.value = false;
    await onDeleted();
  };
  return html`<tr>
    <th scope="row"><span class="file-name">${file.filename}</span>
      <span class="muted small file-id">${file.id}</span></th>
    <td class="number">${bytes(file.bytes)}</td>
    <td><span title=${date(file.created_at)}>${ago(file.created_at)}</span></td>
    <td><${Uses} uses=${uses} /></td>
    <td><${Button} kind="quiet" class="small" icon="trash" busy=${busy.value} disabled=${needed}
      title=${needed ? "A job that has not ended needs it" : undefined} aria-label=${`Delete ${file.filename}`}
      onClick=${remove} /></td>
  </tr>`;
}

function Uses({ uses }) {
  if (!uses.length) return html`<span class="muted">–</span>`;
  const further = uses.length - SHOWN_USES;
  return html`<ul class="file-uses">${uses.slice(0, SHOWN_USES).map(
    ({ id, name, model }) => html`<li key=${id}><a href=${link("jobs", [id])}>${name}</a>
      ${model && html` → <a href=${link("models", [model.split("@")[0]])}>${model}</a>`}</li>`,
  )}${further > 0 && html`<li class="muted small">and ${plural(further, "other job")}</li>`}</ul>`;
}
