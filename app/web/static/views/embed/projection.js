// A plot of the vectors' two principal components, with one scale for both axes.
import { percent } from "../../core/format.js";
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { pair } from "./state.js";

const CAUTION = "What lies apart is apart; what lies together may still differ elsewhere.";
const MARGIN = 28;
const LABELLED = 24; // more points than this have no label, only their title
const LINE = 18; // px between labels
const GAP = 11; // from a point to its label
const CHARACTER = 6.4; // px, on average

export function Projection({ items, projection }) {
  const place = useRef();
  const width = useSignal(640);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.max(Math.floor(entry.contentRect.width), 240);
    });
    if (place.current) observer.observe(place.current);
    return () => observer.disconnect();
  }, [items.length < 3]);
  if (items.length < 3) return null;
  const height = Math.min(Math.max(width.value * 0.62, 280), 440);
  const points = fit(projection.points, width.value, height);
  const labels = items.length <= LABELLED ? spreadLabels(points, items, width.value, height) : [];
  const [first, second] = projection.shares;
  return html`<section class="panel stack" aria-label="Projection">
    <div><h2>Projection</h2><p class="small muted">
      The two directions in which the vectors differ most: their principal components, which
      ${" "}keep ${percent(first)} and ${percent(second)} of all differences. ${CAUTION}</p></div>
    <div ref=${place}>
      <svg class="projection" width=${width.value} height=${height} role="img"
        aria-label=${`${items.length} inputs on a plane; the table above has the figures`}>
      <line class="axis" x1="0" x2=${width.value} y1=${height / 2} y2=${height / 2} />
        <line class="axis" y1="0" y2=${height} x1=${width.value / 2} x2=${width.value / 2} />
      ${labels.map((label, at) => html`<${Label} key=${at} at=${at} point=${points[at]} label=${label} />`)}
      ${points.map((point, at) => html`<${Point} key=${at} at=${at} point=${point} item=${items[at]} />`)}
    </svg></div>
  </section>`;
}

function Label({ at, point: [x, y], label }) {
  return html`<g class=${pair.value?.includes(at) ? "looked" : ""}>
    <line class="leader" x1=${x} y1=${y} x2=${label.x} y2=${label.y} />
    <text x=${label.x} y=${label.y + 4.5} text-anchor=${label.end ? "end" : "start"}><tspan class="nth">
      ${at + 1}</tspan>  ${label.text}</text></g>`;
}

function Point({ at, point: [x, y], item }) {
  return html`
    <circle class=${pair.value?.includes(at) ? "looked" : ""} cx=${x} cy=${y} r="6"
      onMouseEnter=${() => (pair.value = [at, at])}
    onMouseLeave=${() => (pair.value = null)}><title>${item.label}</title></circle>`;
}

/** Coordinates → pixels, centred, both axes to one scale. */
function fit(points, width, height) {
  const scales = [width, height].map(
    (size, axis) => (size / 2 - MARGIN) / (Math.max(...points.map((point) => Math.abs(point[axis]))) || 1),
  );
  const scale = Math.min(...scales);
  return points.map(([x, y]) => [width / 2 + x * scale, height / 2 - y * scale]);
}

/** Places every label beside its point, and moves it down where labels would overlap. */
function spreadLabels(points, items, width, height) {
  const labels = points.map(([x, y], at) => {
    const end = x > width / 2;
    const room = Math.floor((end ? x : width - x) / CHARACTER) - 4;
    const { label } = items[at];
    return {
      x: end ? x - GAP : x + GAP,
      y,
      end,
      text: label.length > room ? `${label.slice(0, Math.max(room - 1, 3))}…` : label,
    };
  });
  for (const side of [true, false]) {
    const column = labels.filter((label) => label.end === side).sort((a, b) => a.y - b.y);
    column.forEach((label, at) => at && (label.y = Math.max(label.y, column[at - 1].y + LINE)));
    const over = (column.at(-1)?.y ?? 0) - (height - 8);
    if (over > 0)
      column
        .toReversed()
        .forEach((label, at, all) => (label.y = at ? Math.min(label.y, all[at - 1].y - LINE) : label.y - over));
  }
  return labels;
}
