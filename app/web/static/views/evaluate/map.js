// The map of an evaluation: two principal components of each model's vectors, coloured by label.
import { percent, plural } from "../../core/format.js";
import { computed, html, signal, useMemo, useSignal } from "../../core/html.js";
import { Select } from "../../ui/controls.js";
import { describe, Legend, Plot } from "../embed/plot.js";
import { colourLabels } from "../embed/table.js";
import { groupNumbers } from "./curves.js";

const HELP = "Arrow keys go from point to point, Enter shows the item, plus and minus enlarge and reduce, 0 shows all.";

export function EmbeddingMap({ report }) {
  const { items, projections } = report.map;
  const model = useSignal(projections[0].model);
  const { points, shares } = projections.find((each) => each.model === model.value);
  const shown = useMemo(
    () => ({ points: Float32Array.from(points.flat()), texts: items.map((item) => item.text ?? item.place) }),
    [points],
  );
  const state = useMemo(() => stateOf(report), [report]);
  const at = state.chosen.value;
  return html`<section class="panel stack" aria-label="Map of the vectors">
    <div><h2>Map of the vectors</h2><p class="small muted">${plural(items.length, "item")} on the two principal
      components of the vectors, which keep ${percent(shares[0])} and ${percent(shares[1])} of all
      ${" "}differences.</p></div>
    ${
      projections.length > 1 &&
      html`<${Select} label="Model" value=${model.value} onChange=${(value) => (model.value = value)}
        options=${projections.map((each) => ({ value: each.model, label: each.model }))} />`
    }
    <${Plot} shown=${shown} state=${state} keysHelp=${HELP} />
    <${Legend} own=${state.colouring.value} />
    <div aria-live="polite">${
      at !== null &&
      html`<p class="file-text">${describe(shown, at, state)}</p><p class="small muted">${items[at].place}</p>`
    }</div>
  </section>`;
}

function stateOf({ map: { items }, data }) {
  const labels = items.map((item) => item.label);
  const isNumbers = Object.keys(data.classes).length === 0;
  const chosen = signal(null);
  return {
    chosen,
    nearest: signal([]),
    matches: signal(null),
    colouring: computed(() => colourLabels(isNumbers ? groupNumbers(labels) : labels)),
    choose: (at) => (chosen.value = at),
  };
}
