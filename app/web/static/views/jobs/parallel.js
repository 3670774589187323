// Parallel coordinates: an axis for each parameter of a sweep and for its measure, and a line for each job.
import { html } from "../../core/html.js";
import { navigate } from "../../core/router.js";
import { axesOf } from "./search.js";

const HEIGHT = 260;
const TOP = 36;
const BOTTOM = 16;
const WIDTH = 980; // px, as far as the gaps allow it
const GAPS = [170, 360]; // px between two axes, at least and at most
const SIDE = 80;

export function ParallelCoordinates({ sweep }) {
  const jobs = sweep.jobs.filter((job) => job.value !== null);
  if (!jobs.length) return html`<p class="muted">The chart comes with the first evaluations.</p>`;
  const axes = axesOf(sweep);
  const gap = Math.min(Math.max((WIDTH - 2 * SIDE) / (axes.length - 1), GAPS[0]), GAPS[1]);
  const x = (at) => SIDE + at * gap;
  const y = (place) => TOP + (1 - place) * (HEIGHT - TOP - BOTTOM);
  const width = 2 * SIDE + (axes.length - 1) * gap;
  // The best job comes last, so that its line is above the others.
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label="Chart of the jobs">
    <svg class="parallel" role="img" width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`}
      aria-label=${`${jobs.length} jobs over ${axes.map(({ name }) => name).join(", ")}. The table has the values.`}>
      ${jobs.toReversed().map(
        (job) => html`<polyline key=${job.id} class=${job.rank === 1 ? "best" : ""}
          points=${axes.map((axis, at) => `${x(at)},${y(axis.place(job) ?? 0).toFixed(1)}`).join(" ")}
          onClick=${() => navigate("jobs", [job.id])}><title>${`${job.name}: ${job.value.toPrecision(4)}`}</title>
        </polyline>`,
      )}
      ${axes.map(
        (axis, at) => html`<g>
          <line x1=${x(at)} x2=${x(at)} y1=${y(0)} y2=${y(1)} />
          <text class="name" x=${x(at)} y="14" text-anchor="middle">${axis.name}</text>
          ${axis.ticks.map((tick) => html`<text x=${x(at) + 5} y=${y(tick.at) + 4}>${tick.text}</text>`)}</g>`,
      )}
    </svg></div>`;
}
