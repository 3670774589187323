// The columns that an error about a table lists, to be chosen by a click.
import { html } from "../../core/html.js";
import { Button } from "../../ui/controls.js";

const LIST = /; found (.*?)\. Set text_column to one of them\./s;
const QUOTED = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g;

/** @returns {string[]} the names of the columns in the server's message; none if it is about something else. */
export function columnsIn(message) {
  const list = LIST.exec(message ?? "")?.[1] ?? "";
  const names = [...list.matchAll(QUOTED)].map(([, single, double]) => (single ?? double).replace(/\\(['"\\])/g, "$1"));
  return names.filter((name) => !name.endsWith("…")); // a shortened name is no column's
}

/** onChoose(column) */
export function Columns({ message, onChoose }) {
  const names = columnsIn(message);
  if (!names.length) return null;
  return html`<div class="row columns" role="group" aria-label="Columns"><span class="small">Train on the column</span>
    ${names.map(
      (name) => html`<${Button} key=${name} class="small" onClick=${() => onChoose(name)}>${name}<//>`,
    )}</div>`;
}
