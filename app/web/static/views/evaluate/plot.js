// The label-efficiency curve: scores by labels per class, with bands, and figures under the pointer.
import { html, useSignal } from "../../core/html.js";
import { SERIES_COLORS } from "../../ui/chart.js";
import { curvesOf, nearest, scalesOf, scoreText, labelsOf, unitOf } from "./curves.js";

const BOX = { width: 720, height: 320, left: 48, right: 16, top: 12, bottom: 44 };

export function Plot({ report }) {
  const at = useSignal(null); // the x under the pointer
  const curves = curvesOf(report);
  if (!curves.length) return null;
  const scales = scalesOf(curves, BOX);
  const shown = at.value ?? scales.xTicks.at(-1).value;
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    at.value = nearest(scales.xTicks, ((event.clientX - box.left) / box.width) * BOX.width);
  };
  const unit = unitOf(report);
  const title = `${report.metric} by ${unit}`;
  return html`<figure class="efficiency">
    <svg viewBox=${`0 0 ${BOX.width} ${BOX.height}`} role="img" aria-label=${title}
      onPointerMove=${move} onPointerLeave=${() => (at.value = null)}>
      <${Axes} scales=${scales} metric=${report.metric} unit=${unit} />
      <line class="efficiency-cursor" x1=${scales.x(shown)} x2=${scales.x(shown)} y1=${BOX.top}
        y2=${BOX.height - BOX.bottom} />
      ${curves.map(
        (curve, index) => html`<${Curve} key=${curve.key} curve=${curve} scales=${scales} index=${index} />`,
      )}
    </svg>
    <figcaption><${Legend} curves=${curves} x=${shown} scales=${scales} report=${report} /></figcaption>
  </figure>`;
}

const paint = (index) => ({ color: `var(${SERIES_COLORS[index % SERIES_COLORS.length]})` });

function Axes({ scales, metric, unit }) {
  const floor = BOX.height - BOX.bottom;
  return html`<g class="efficiency-axes">
    ${scales.yTicks.map(
      ({ label, at }) => html`<line x1=${BOX.left} x2=${BOX.width - BOX.right} y1=${at} y2=${at} />
        <text x=${BOX.left - 6} y=${at + 4} text-anchor="end">${label}</text>`,
    )}
    ${scales.xTicks.map(({ label, at }) => html`<text x=${at} y=${floor + 18} text-anchor="middle">${label}</text>`)}
    <text x=${(BOX.left + BOX.width) / 2} y=${BOX.height - 6} text-anchor="middle">${unit} → ${metric}</text>
  </g>`;
}

function Curve({ curve, scales, index }) {
  const place = (x, y) => `${scales.x(x).toFixed(1)},${scales.y(y).toFixed(1)}`;
  const banded = curve.points.filter((point) => point.low !== null);
  const band = [
    ...banded.map((point) => place(point.x, point.high)),
    ...banded.toReversed().map((point) => place(point.x, point.low)),
  ];
  return html`<g style=${paint(index)}>
    ${banded.length > 1 && html`<polygon class="efficiency-band" points=${band.join(" ")} />`}
    <polyline class="efficiency-line" points=${curve.points.map((point) => place(point.x, point.mean)).join(" ")} />
    ${curve.points.map(
      (point) => html`<circle class="efficiency-point" cx=${scales.x(point.x)} cy=${scales.y(point.mean)} r="3" />`,
    )}
  </g>`;
}

function Legend({ curves, x, scales, report }) {
  const count = scales.xTicks.find((tick) => tick.value === x)?.label;
  return html`<p class="small muted">With ${labelsOf(count, report)}:</p>
    <ul class="efficiency-legend">${curves.map(
      (curve, index) => html`<li key=${curve.key}><i style=${paint(index)} aria-hidden="true"></i>
        ${curve.label} <b>${scoreText(curve.points.find((point) => point.x === x))}</b></li>`,
    )}</ul>`;
}
