// The columns that an error about a table lists, to be chosen by a click.
import { html } from "../../core/html.js";
import { Button } from "../../ui/controls.js";

const LIST = /; found (.*?)\. Set (\w+) to one of them\./s;
const QUOTED = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g;

/** @returns {string[]} the names of the columns in the server's message; none if it is about something else. */
export function columnsIn(message) {
  const list = LIST.exec(message ?? "")?.[1] ?? "";
  const names = [...list.matchAll(QUOTED)].map(([, single, double]) => (single ?? double).replace(/\\(['"\\])/g, "$1"));
  return names.filter((name) => !name.endsWith("…")); // a shortened name is no column's
}

/** The hyperparameter that names one of the columns; null if the message is about something else. */
export const optionIn = (message) => LIST.exec(message ?? "")?.[2] ?? null;

/** onChoose(hyperparameter, column) */
export function Columns({ message, onChoose }) {
  const names = columnsIn(message);
  if (!names.length) return null;
  const option = optionIn(message);
  const label = option === "text_column" ? "Train on the column" : `Take as ${option}`;
  return html`<div class="row columns" role="group" aria-label="Columns"><span class="small">${label}</span>
    ${names.map(
      (name) => html`<${Button} key=${name} class="small" onClick=${() => onChoose(option, name)}>${name}<//>`,
    )}</div>`;
}
