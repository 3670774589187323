// The nearest other inputs of each input, by one model or by two beside each other.
import { html } from "../../core/html.js";
import { nearest, rangeOf } from "./vectors.js";

const MOST = 3; // neighbours of an input

/** answers: [{model, cosines}], one or two. */
export function Nearest({ items, answers }) {
  if (items.length < 2) return null;
  return html`<section class="panel stack" aria-label="Nearest neighbours">
    <div><h2>Nearest neighbours</h2><p class="small muted">
      The inputs that ${answers.length > 1 ? "each model finds" : "the model finds"} most similar to each, with their
      cosines.</p></div>
    <div class="table-scroll" tabindex="0" role="region" aria-label="Nearest neighbours of each input">
      <table class="nearest"><thead><tr><th scope="col">Input</th>
        ${answers.map((answer) => html`<th scope="col">${answer.model}</th>`)}</tr></thead>
      <tbody>${items.map(
        (item, i) => html`<tr><th scope="row">${item.label}</th>
        ${answers.map((answer) => html`<td><${Neighbours} items=${items} cosines=${answer.cosines} of=${i} /></td>`)}
      </tr>`,
      )}</tbody></table>
    </div>
  </section>`;
}

function Neighbours({ items, cosines, of }) {
  const { digits } = rangeOf(cosines);
  return html`<ol>${nearest(cosines, of, MOST).map(
    ({ at, cosine }) => html`<li><span>${items[at].label}</span>
      <span class="number muted">${cosine.toFixed(digits).replace("-", "−")}</span></li>`,
  )}</ol>`;
}
