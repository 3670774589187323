// The mistakes of a linear probe: which classes it takes for which, and the items that it gets wrong.
import { number, percent, plural } from "../../core/format.js";
import { Details } from "../../ui/controls.js";
import { html } from "../../core/html.js";
import { labelsOf } from "./curves.js";

const MOST_FIGURES = 12; // classes; beyond, cells are too small to hold a figure

export function MistakesOf({ mistakes, report }) {
  const { model, confusion, items, wrong_items: count } = mistakes;
  const title = count === null ? "Items with the largest error" : `${plural(count, "item")} with a wrong prediction`;
  const runs = mistakes.runs > 1 ? `, over ${mistakes.runs} runs` : "";
  return html`<section class="panel stack" aria-label=${`Mistakes of ${model}`}>
    <div><h2>Mistakes of ${model}</h2><p class="small muted">
      Of the linear probe with ${labelsOf(mistakes.labels_per_class, report)}${runs}.</p></div>
    ${confusion && html`<${Confusion} confusion=${confusion} />`}
    ${!confusion && mistakes.confused_pairs.length > 0 && html`<${Pairs} pairs=${mistakes.confused_pairs} />`}
    ${count === 0 && html`<p>No item of the test part is wrong.</p>`}
    ${
      items.length > 0 &&
      html`<${Details} summary=${title}>
        <${Items} items=${items} count=${count} /><//>`
    }
  </section>`;
}

/** The share of each predicted class among the items of a true class: rows of a matrix of counts → shares. */
export function sharesOf(counts) {
  return counts.map((row) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return row.map((count) => (sum ? count / sum : 0));
  });
}

function Confusion({ confusion: { classes, counts } }) {
  const figures = classes.length <= MOST_FIGURES;
  const shares = sharesOf(counts);
  return html`<p class="small muted">
      Rows are the true classes, columns the predicted ones. The colour is the share of the row.</p>
    <div class="table-scroll" tabindex="0" role="region" aria-label="Confusion of classes">
    <table class="confusion"><thead><tr><td></td>${classes.map(
      (name) => html`<th scope="col" key=${name} title=${name}>${short(name)}</th>`,
    )}</tr></thead><tbody>${classes.map(
      (name, i) =>
        html`<tr key=${name}><th scope="row" title=${name}>${short(name)}</th>${counts[i].map(
          (count, j) => html`<td style=${{ background: shade(shares[i][j]) }} class=${i === j ? "right" : ""}
          title=${`${name} taken for ${classes[j]}: ${number(count)}${count ? `, ${percent(shares[i][j])}` : ""}`}>
          ${figures ? number(count) : html`<span class="visually-hidden">${number(count)}</span>`}</td>`,
        )}</tr>`,
    )}</tbody></table></div>`;
}

const short = (name) => (name.length > 16 ? `${name.slice(0, 15)}…` : name);

// Less than the full accent, so that figures stay readable in both themes.
const shade = (share) => `color-mix(in oklab, var(--accent) ${Math.round(share * 60)}%, var(--surface))`;

function Pairs({ pairs }) {
  return html`<ul class="small" aria-label="Classes that are confused most often">${pairs.map(
    (pair) => html`<li key=${`${pair.label} ${pair.predicted}`}>${pair.label} taken for ${pair.predicted}:
      ${" "}${number(pair.count)}</li>`,
  )}</ul>`;
}

function Items({ items, count }) {
  const several = items.some((item) => item.tested_runs > 1);
  return html`<div class="table-scroll"><table class="evaluation-mistakes"><thead><tr><th scope="col">Item</th>
    <th scope="col">Label</th><th scope="col">Predicted</th>
    ${count !== null && html`<th class="number" scope="col">Probability</th>`}
    ${several && count !== null && html`<th class="number" scope="col">Wrong runs</th>`}</tr></thead>
    <tbody>${items.map(
      (item) => html`<tr key=${item.place}><td>${item.text && html`<p>${item.text}</p>`}
        ${item.thumbnail && html`<img src=${item.thumbnail} alt=${`Thumbnail of ${item.place}`} loading="lazy" />`}
        <p class="small muted">${item.place}</p></td><td>${item.label}</td>
        <td>${typeof item.predicted === "number" ? number(item.predicted) : item.predicted}</td>
        ${count !== null && html`<td class="number">${item.probability?.toFixed(2) ?? "–"}</td>`}
        ${several && count !== null && html`<td class="number">${item.wrong_runs} of ${item.tested_runs}</td>`}</tr>`,
    )}</tbody></table></div>
    ${count > items.length && html`<p class="small muted">The first ${items.length} of ${number(count)}.</p>`}`;
}
