// The cosine of every pair in a table. The more similar two inputs are, the greener the cell, on the scale of the
// inputs' own range: models of pictures give cosines between 0.9 and 1 only.
import { html } from "../../core/html.js";
import { pair } from "./state.js";
import { placeIn, rangeOf } from "./vectors.js";

const MOST_FIGURES = 12; // beyond, cells are too small to hold one

/** model: its name, where there are two models. */
export function HeatMap({ items, cosines, model }) {
  const figures = items.length <= MOST_FIGURES;
  const range = rangeOf(cosines);
  const figure = (value) => value.toFixed(range.digits).replace("-", "−");
  const [row, column] = pair.value ?? [null, null];
  const look = (i, j) => () => (pair.value = [i, j]);
  return html`<section class="panel stack" aria-label=${model ? `Similarity by ${model}` : "Similarity"}>
    <div><h2>Similarity${model ? ` by ${model}` : ""}</h2><p class="small muted">
      The cosine between every two vectors: 1 is the same direction, 0 nothing in common.</p></div>
    <${Scale} low=${figure(range.low)} high=${figure(range.high)} />
    <div class="table-scroll" tabindex="0" role="region"
      aria-label=${`Similarity of every pair${model ? ` by ${model}` : ""}`}
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
              <td style=${{ background: shade(placeIn(range, value)) }}
                class=${i === row && j === column ? "looked" : ""} onMouseEnter=${look(i, j)}
            title=${figures ? undefined : figure(value)}>
              ${figures ? figure(value) : html`<span class="visually-hidden">${figure(value)}</span>`}</td>`,
          )}</tr>`,
        )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** The colours from the least to the most similar pair. */
const Scale = ({ low, high }) => html`<p class="heat-scale small muted">
  <span>${low}</span>${[0, 0.25, 0.5, 0.75, 1].map((place) => html`<i style=${{ background: shade(place) }}></i>`)}
  <span>${high}</span><span>the range of these inputs, least to most similar</span></p>`;

// Less than the full accent, so that figures stay readable in both themes.
const shade = (place) => `color-mix(in oklab, var(--accent) ${Math.round(place ** 1.3 * 62)}%, var(--surface))`;
