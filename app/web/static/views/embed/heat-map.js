// The cosine of every pair in a table. The more similar two inputs are, the greener the cell.
import { html } from "../../core/html.js";
import { pair } from "./state.js";

const MOST_FIGURES = 12; // beyond, cells are too small to hold one

export function HeatMap({ items, cosines }) {
  const figures = items.length <= MOST_FIGURES;
  const [row, column] = pair.value ?? [null, null];
  const look = (i, j) => () => (pair.value = [i, j]);
  return html`<section class="panel stack" aria-label="Similarity">
    <div><h2>Similarity</h2><p class="small muted">
      The cosine between every two vectors: 1 is the same direction, 0 nothing in common.</p></div>
    <div class="table-scroll" tabindex="0" role="region" aria-label="Similarity of every pair"
      onMouseLeave=${() => (pair.value = null)}>
      <table class=${`heat ${figures ? "" : "dense"}`}>
        <thead><tr><td></td>
          ${items.map(
            (item, j) => html`<th scope="col" title=${item.label} class=${j === column ? "looked" : ""}>
            ${j + 1}</th>`,
          )}</tr></thead>
        <tbody>${items.map(
          (item, i) => html`<tr>
          <th scope="row" class=${i === row ? "looked" : ""}><span class="heat-label"><b>${i + 1}</b>
            ${item.url && item.input.startsWith("data:image") && html`<img src=${item.url} alt="" />`}
              <span title=${item.label}>${item.label}</span></span></th>
          ${cosines[i].map(
            (value, j) => html`
              <td style=${{ background: shade(value) }} class=${i === row && j === column ? "looked" : ""}
                onMouseEnter=${look(i, j)}
            title=${figures ? undefined : value.toFixed(2)}>
              ${figures ? figure(value) : html`<span class="visually-hidden">${value.toFixed(2)}</span>`}</td>`,
          )}</tr>`,
        )}
        </tbody>
      </table>
    </div>
  </section>`;
}

const figure = (value) => value.toFixed(2).replace("-", "−");

// Less than the full accent, so that figures stay readable in both themes.
const shade = (value) =>
  `color-mix(in oklab, var(--accent) ${Math.round(Math.max(value, 0) ** 1.3 * 62)}%, var(--surface))`;
