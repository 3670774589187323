// Projector: thousands of texts, pictures, sounds or videos as points.
import { number, percent, plural } from "../../core/format.js";
import { html, useSignal } from "../../core/html.js";
import { Button, Details, DropZone, FolderButton, Segmented, Select, TextArea, TextField } from "../../ui/controls.js";
import { ErrorNote, Note, Progress } from "../../ui/status.js";
import { toast } from "../../ui/toast.js";
import { filesOfKind, MOST_FILES } from "./media-files.js";
import { describe, Legend, Plot } from "./plot.js";
import { Media } from "./preview.js";
import * as points from "./points.js";
import { MOST_ROWS } from "./table.js";

const FIRST = {
  text: "Paste texts or drop a file, then show the points.",
  image: "Choose a folder of images, then show the points.",
  audio: "Choose a folder of sounds, then show the points.",
  video: "Choose a folder of videos, then show the points.",
};
const LAYOUTS = [
  { value: "pca", label: "Principal components" },
  { value: "umap", label: "Neighbourhoods (UMAP)" },
];
const LISTED = 50; // rows of the list at once
const LARGEST = 64 * 2 ** 20; // bytes of a file

export function Projector({ model }) {
  const { value: projection } = points.projection;
  const { value: under } = points.progress;
  const isText = model.modality === "text";
  const fits = points.table.value && !points.table.value.files === isText;
  const shown = projection && !projection.files === isText ? projection : null;
  return html`<div class="embed-layout">
    <div class="stack">
      ${isText ? html`<${TextSource} />` : html`<${FileSource} kind=${model.modality} />`}
      ${fits && html`<${Choices} model=${model} />`}
    </div>
    <div class="stack">
      ${
        fits &&
        points.error.value &&
        html`<${ErrorNote} error=${points.error.value} retry=${() => points.run(model)} />`
      }
      ${
        under &&
        html`<div class="row"><${Progress} label=${under.label} value=${under.share} />
          <${Button} class="small" onClick=${points.stop}>Stop<//></div>`
      }
      ${shown ? html`<${Shown} shown=${shown} />` : html`<${Note}>${FIRST[model.modality]}<//>`}
    </div>
  </div>`;
}

function TextSource() {
  const pasted = useSignal("");
  const onPaste = (text) => {
    pasted.value = text;
    points.take(text, "");
  };
  const onFiles = async ([file]) => {
    if (file.size > LARGEST) return toast("A file may have at most 64 MB here.", "failed");
    pasted.value = "";
    points.take(await file.text(), file.name);
    if (!points.table.value) toast(`${file.name} has no rows.`, "failed");
  };
  return html`
    <${DropZone} label="Drop a CSV, TSV or text file" hint="the first line of a table names its columns"
      accept=".csv,.tsv,.txt,text/*" onFiles=${onFiles} />
    <${TextArea} label="Or paste texts, one a line" value=${pasted.value} rows=${5} spellcheck="false"
      onInput=${onPaste} />`;
}

function FileSource({ kind }) {
  const take = (files) => {
    points.takeFiles(filesOfKind(files, kind));
    if (!points.table.value) toast(`There is no ${kind} file among them.`, "failed");
  };
  return html`
    <${DropZone} label="Drop files" hint=${`at most ${number(MOST_FILES)}`} accept=${`${kind}/*`} multiple
      onFiles=${take} />
    <div class="row"><${FolderButton} label="Choose a folder" onFiles=${take} /></div>
    <p class="small muted">The folder of a file is its label.</p>`;
}

function Choices({ model }) {
  const table = points.table.value;
  const columns = table.columns.map((label, at) => ({ value: String(at), label }));
  const left = table.files ? `after the first ${number(MOST_FILES)}` : `after the first ${number(MOST_ROWS)}`;
  const counted = plural(table.rows.length, table.files ? "file" : "row");
  return html`
    <p class="small" role="status">${table.name || (table.files ? "Chosen" : "Pasted")}: ${counted}
      ${table.left > 0 && `; ${number(table.left)} more are left out, ${left}`}</p>
    ${
      columns.length > 1 &&
      !table.files &&
      html`
      <${Select} label="Column of the texts" value=${String(points.textColumn.value)} options=${columns}
        onChange=${(value) => (points.textColumn.value = Number(value))} />`
    }
    ${
      columns.length > 1 &&
      html`
      <${Select} label="Colour by" value=${String(points.labelColumn.value)}
        options=${[{ value: "-1", label: "nothing" }, ...columns]}
        onChange=${(value) => (points.labelColumn.value = Number(value))} />`
    }
    <div class="row"><${Button} kind="primary" busy=${points.progress.value !== null}
      onClick=${() => points.run(model)}>Show the points<//></div>`;
}

function Shown({ shown }) {
  const found = points.matches.value;
  return html`<section class="panel stack" aria-label="Points">
      <div><h2>${plural(shown.texts.length, "point")}</h2><p class="small muted">${explain(shown)}
        ${" "}Neighbours are found in all ${number(shown.size)} dimensions.</p></div>
      ${
        shown.texts.length >= points.FEWEST &&
        html`<${Segmented} label="Layout" value=${points.layout.value} options=${LAYOUTS}
          onChange=${points.chooseLayout} />`
      }
      <${TextField} label="Search the points" type="search" value=${points.wanted.value}
        onInput=${(value) => (points.wanted.value = value)}
        hint=${found ? `${number(found.filter(Boolean).length)} found` : undefined} />
      <${Plot} shown=${shown} state=${points} />
      ${points.colouring.value && html`<${Legend} own=${points.colouring.value} />`}
    </section>
    <${Neighbours} shown=${shown} />
    <${Details} summary="All points as a list"><${List} shown=${shown} /><//>`;
}

function explain({ model, shares }) {
  if (!shares) return `Vectors of ${model}: UMAP keeps near what is near. Distances between groups mean little.`;
  const [first, second] = shares.map(percent);
  return `Principal components of the vectors of ${model}; the two keep ${first} and ${second} of all differences.`;
}

function Neighbours({ shown }) {
  const at = points.chosen.value;
  if (at === null || at >= shown.texts.length)
    return html`<p class="small muted">Choose a point to see its nearest neighbours.</p>`;
  return html`<section class="panel stack" aria-label="Nearest neighbours" aria-live="polite">
    <div class="row between"><h2>Nearest neighbours</h2>
      <${Button} kind="quiet" icon="close" aria-label="Choose no point" onClick=${() => points.choose(null)} /></div>
    <p class="file-text">${describe(shown, at, points)}</p>
    <${Media} file=${shown.files?.[at]} controls />
    <ol class="neighbours">${points.nearest.value.map(
      (each) => html`<li key=${each.at}><button type="button" class="sequence" onClick=${() => points.choose(each.at)}>
        <${Media} file=${shown.files?.[each.at]} /><span>${describe(shown, each.at, points)}</span>
        <span class="candidate-share">${each.cosine.toFixed(3).replace("-", "−")}</span></button></li>`,
    )}</ol>
  </section>`;
}

function List({ shown }) {
  const page = useSignal(0);
  const found = points.matches.value;
  const all = shown.texts.map((_, at) => at).filter((at) => !found || found[at]);
  const pages = Math.max(Math.ceil(all.length / LISTED), 1);
  const now = Math.min(page.value, pages - 1);
  return html`<div class="stack">
    <div class="table-scroll" tabindex="0" role="region" aria-label="Points as a list"><table>
      <thead><tr><th scope="col">Text</th>${points.colouring.value && html`<th scope="col">Label</th>`}
        <th scope="col" class="number">x</th><th scope="col" class="number">y</th><th scope="col"></th></tr></thead>
      <tbody>${all.slice(now * LISTED, (now + 1) * LISTED).map(
        (at) => html`<tr key=${at}><td>${shown.texts[at].slice(0, 160)}</td>
          ${points.colouring.value && html`<td>${points.colouring.value.labels[at]}</td>`}
          <td class="number">${number(shown.points[at * 2])}</td>
          <td class="number">${number(shown.points[at * 2 + 1])}</td>
          <td><${Button} class="small" onClick=${() => points.choose(at)}>Neighbours<//></td></tr>`,
      )}</tbody></table></div>
    ${
      pages > 1 &&
      html`<div class="row center">
        <${Button} disabled=${now === 0} onClick=${() => (page.value = now - 1)}>Before<//>
        <span class="small">Page ${number(now + 1)} of ${number(pages)}</span>
        <${Button} disabled=${now === pages - 1} onClick=${() => (page.value = now + 1)}>Next<//></div>`
    }
  </div>`;
}
