// The projection on a canvas: moved with the pointer, enlarged with the wheel or keys, and read point by point.
import { number } from "../../core/format.js";
import { html, useEffect, useId, useLayoutEffect, useRef, useSignal } from "../../core/html.js";
import { color, palette } from "../../core/theme.js";
import { Button } from "../../ui/controls.js";
import { fitAll, pixelOf, pointAt, pointBeside, zoom } from "./camera.js";
import { Media } from "./preview.js";

const HEIGHT = 460;
const STEP = 1.5; // of the zoom buttons and keys
const CLICK = 4; // px that a pointer may move within a click
const RADIUS = 3.5;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
export const COLOURS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
const HELP =
  "Arrow keys go from point to point, Enter shows the neighbours, plus and minus enlarge and reduce, 0 shows all. " +
  "The list below has the same points.";

/**
 * state: {chosen, nearest, matches, colouring: signals, choose(at)}, as points.js has them. keysHelp: what the keys do.
 */
export function Plot({ shown, state, keysHelp = HELP }) {
  const canvas = useRef();
  const width = useSignal(640);
  const camera = useSignal(null); // null: all points in sight
  const hovered = useSignal(null);
  const at = hovered.value < shown.texts.length ? hovered.value : null; // not one of points that were shown before
  const drag = useRef(null);
  const help = useId();
  const view = camera.value ?? fitAll(shown.points, width.value, HEIGHT);

  useEffect(() => {
    const observer = new ResizeObserver(
      ([entry]) => (width.value = Math.max(Math.floor(entry.contentRect.width), 240)),
    );
    observer.observe(canvas.current.parentElement);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    camera.value = null;
    hovered.value = null;
  }, [shown, width.value]);
  useLayoutEffect(() => draw(canvas.current, width.value, view, shown, at, state));
  palette.value; // drawn anew when colours change

  const enlarge = (factor, around = [width.value / 2, HEIGHT / 2]) => (camera.value = zoom(view, factor, around));
  useEffect(() => {
    const onWheel = (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas.current.parentElement) return; // the page scrolls
      event.preventDefault();
      enlarge(Math.exp(-event.deltaY / 300), placeOf(event));
    };
    canvas.current.addEventListener("wheel", onWheel, { passive: false });
    return () => canvas.current?.removeEventListener("wheel", onWheel);
  });

  const placeOf = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    canvas.current.setPointerCapture(event.pointerId);
    drag.current = { from: placeOf(event), view, moved: false };
  };
  const onPointerMove = (event) => {
    const [x, y] = placeOf(event);
    if (!drag.current) return void (hovered.value = pointAt(view, shown.points, [x, y]));
    const { from, view: before } = drag.current;
    drag.current.moved ||= Math.hypot(x - from[0], y - from[1]) > CLICK;
    if (drag.current.moved) camera.value = { ...before, x: before.x + x - from[0], y: before.y + y - from[1] };
  };
  const onPointerUp = (event) => {
    const clicked = drag.current && !drag.current.moved;
    drag.current = null;
    if (clicked) void state.choose(pointAt(view, shown.points, placeOf(event)));
  };

  const onKeyDown = (event) => {
    if (event.target !== event.currentTarget) return;
    const actions = {
      "+": () => enlarge(STEP),
      "=": () => enlarge(STEP),
      "-": () => enlarge(1 / STEP),
      0: () => (camera.value = null),
      Escape: () => void state.choose(null),
      Enter: () => hovered.value !== null && void state.choose(hovered.value),
    };
    const way = ARROWS[event.key];
    if (!way && !actions[event.key]) return;
    event.preventDefault();
    if (!way) return actions[event.key]();
    hovered.value = hovered.value === null ? (state.chosen.value ?? 0) : pointBeside(shown.points, hovered.value, way);
  };

  const said = at === null ? "" : describe(shown, at, state);
  const [left, top] = at === null ? [0, 0] : pixelOf(view, shown.points, at);
  return html`<div class="stack plot-area">
    <div class="row"><${Button} class="small" aria-label="Enlarge" onClick=${() => enlarge(STEP)}>+<//>
      <${Button} class="small" aria-label="Reduce" onClick=${() => enlarge(1 / STEP)}>−<//>
      <${Button} class="small" onClick=${() => (camera.value = null)}>Show all<//></div>
    <div class="plot" role="application" tabindex="0" aria-label=${`${shown.texts.length} points on a plane`}
      aria-describedby=${help} onKeyDown=${onKeyDown}>
      <canvas ref=${canvas} onPointerDown=${onPointerDown} onPointerMove=${onPointerMove} onPointerUp=${onPointerUp}
        onPointerCancel=${() => (drag.current = null)} onPointerLeave=${() => (hovered.value = null)}></canvas>
      ${
        said &&
        html`<div class=${`plot-tip small ${left > width.value / 2 ? "at-end" : ""}`} aria-hidden="true"
          style=${{ left: `${left}px`, top: `${top}px` }}><span>
            <${Media} file=${shown.files?.[at]} play />${said}</span></div>`
      }
      <span id=${help} class="visually-hidden">${keysHelp}</span>
      <span class="visually-hidden" role="status">${said}</span>
    </div>
    <p class="small muted">Drag to move. Click into the plot, then the wheel enlarges it; so do + and −.</p>
  </div>`;
}

export function Legend({ own }) {
  return html`<ul class="plot-legend small" aria-label="Colours">
    ${own.legend.map(
      ({ label, count }, at) => html`<li key=${label}>
        <i style=${{ background: `var(${label === null ? "--series-6" : COLOURS[at]})` }}></i>
        ${label === null ? "all others" : label || "(empty)"} <span class="muted">${number(count)}</span></li>`,
    )}
  </ul>`;
}

export function describe(shown, at, state) {
  const text = shown.texts[at].length > 160 ? `${shown.texts[at].slice(0, 159)}…` : shown.texts[at];
  const label = state.colouring.value?.labels[at];
  return label ? `${label}: ${text}` : text;
}

function draw(canvas, width, view, shown, hovered, state) {
  const ratio = devicePixelRatio || 1;
  const size = { width: Math.round(width * ratio), height: Math.round(HEIGHT * ratio) };
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
  Object.assign(canvas.style, { width: `${width}px`, height: `${HEIGHT}px` });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, HEIGHT);
  const colours = COLOURS.map(color);
  const others = color("--series-6");
  const own = state.colouring.value;
  const found = state.matches.value;
  const circle = (at, radius) => {
    const [x, y] = pixelOf(view, shown.points, at);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
  };
  shown.texts.forEach((_, at) => {
    context.globalAlpha = !found ? 0.8 : found[at] ? 1 : 0.12;
    context.fillStyle = own ? (colours[own.colourOf(own.labels[at])] ?? others) : colours[0];
    circle(at, found?.[at] ? RADIUS + 1.5 : RADIUS);
    context.fill();
  });
  context.globalAlpha = 1;
  context.strokeStyle = color("--text");
  const ringed = [state.chosen.value, hovered].filter((at) => at !== null);
  for (const [at, thick] of [...state.nearest.value.map((each) => [each.at, 1]), ...ringed.map((at) => [at, 2.5])]) {
    context.lineWidth = thick;
    circle(at, RADIUS + 3);
    context.stroke();
  }
}
