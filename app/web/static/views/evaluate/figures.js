// The figures of an evaluation without training labels: of each model, and of each group of rows.
import { number } from "../../core/format.js";
import { html } from "../../core/html.js";

const NAMES = {
  spearman: "Spearman",
  pearson: "Pearson",
  accuracy: "Accuracy",
  loss: "Loss",
  pseudo_perplexity: "Pseudo-perplexity",
  bits_per_character: "Bits per character",
};
const MOST_GROUPS = 100;

/** A report → {heads, rows} of a table with a row for each model. */
export function figuresOf(report) {
  const metrics = Object.keys(report.results[0]?.metrics ?? {});
  const rows = report.results.map(({ model, metrics: found }) => [model, ...metrics.map((name) => text(found[name]))]);
  return { heads: ["Model", ...metrics.map((name) => NAMES[name] ?? name)], rows };
}

/** A report → {heads, rows} of a table with a row for each group of rows, or null if there are none. */
export function groupsOf(report) {
  const groups = report.results[0]?.groups ?? [];
  if (!groups.length) return null;
  const values = report.results.map(
    (result) => new Map(result.groups.map((each) => [each.group, each[report.metric].toFixed(3)])),
  );
  const rows = groups
    .slice(0, MOST_GROUPS)
    .map(({ group, items }) => [group, number(items), ...values.map((each) => each.get(group) ?? "–")]);
  return { heads: ["Group", "Rows", ...report.results.map((result) => result.model)], rows };
}

function text({ mean, low, high }) {
  return `${mean.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}

export function Figures({ report }) {
  const groups = groupsOf(report);
  return html`<${Table} table=${figuresOf(report)} />
    <p class="small muted">In brackets the 95 % interval over rows.</p>
    ${groups && html`<${Table} table=${groups} />`}`;
}

function Table({ table: { heads, rows } }) {
  return html`<div class="table-scroll"><table><thead><tr>${heads.map(
    (head, index) => html`<th class=${index ? "number" : ""} scope="col" key=${head}>${head}</th>`,
  )}</tr></thead><tbody>${rows.map(
    ([name, ...cells]) =>
      html`<tr key=${name}><th scope="row">${name}</th>${cells.map(
        (cell, index) => html`<td class="number" key=${index}>${cell}</td>`,
      )}</tr>`,
  )}</tbody></table></div>`;
}
