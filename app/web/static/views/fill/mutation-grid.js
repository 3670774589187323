// The heat map on a canvas, since a protein of 1,000 letters has 20,000 cells.
import { html, useEffect, useRef } from "../../core/html.js";
import { color, palette } from "../../core/theme.js";
import { number } from "../../core/format.js";
import { mix, placeOn, step } from "./variants.js";

const WIDTH = 15; // CSS pixels of a cell
const HEIGHT = 18;
const AXIS = 34; // of the sequence and its positions above the cells
const TICKS = 10; // positions between two numbers
const LARGEST = 16_000; // pixels of a canvas in some browsers

const shadeOf = (colors, place) => mix(colors.surface, place < 0 ? colors.loss : colors.gain, Math.abs(place) ** 0.8);
const colorsOf = () => ({
  surface: color("--surface"),
  loss: color("--series-3"),
  gain: color("--series-2"),
  text: color("--text"),
  muted: color("--text-muted"),
  wildType: color("--masked-soft"),
});

/** chosen, pointed: signals of a cell, {row, place}, or null. */
export function Grid({ grid, chosen, pointed }) {
  const canvas = useRef();
  const marked = chosen.value;
  useEffect(() => draw(canvas.current, grid, marked), [grid, marked, palette.value]);
  const cellAt = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const place = Math.floor((event.clientX - box.left) / WIDTH);
    const row = Math.floor((event.clientY - box.top - AXIS) / HEIGHT);
    return row >= 0 && row < grid.letters.length && place >= 0 && place < grid.wildType.length ? { row, place } : null;
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") chosen.value = null;
    if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
    pointed.value = null;
    chosen.value = chosen.value ? step(grid, chosen.value, event.key) : { row: 0, place: 0 };
    reveal(canvas.current.parentElement, chosen.value.place);
  };
  return html`<div class="mutation-map">
    <div class="mutation-letters" aria-hidden="true" style=${{ paddingTop: `${AXIS}px` }}>
      ${grid.letters.map(
        (letter) => html`<span key=${letter} style=${{ height: `${HEIGHT}px`, lineHeight: `${HEIGHT}px` }}>
          ${letter}</span>`,
      )}</div>
    <div class="mutation-scroll" tabindex="0" role="application" onKeyDown=${onKeyDown}
      aria-label="Scores of all mutations; arrow keys choose one">
      <canvas ref=${canvas} onMouseMove=${(event) => (pointed.value = cellAt(event))}
        onMouseLeave=${() => (pointed.value = null)} onClick=${(event) => (chosen.value = cellAt(event))}></canvas>
    </div>
  </div>`;
}

/** Scrolls a position into view. */
function reveal(region, place) {
  const left = place * WIDTH;
  const hidden = left + WIDTH - region.clientWidth; // to the left, at least, to show the cell
  region.scrollLeft = Math.min(left, Math.max(hidden, region.scrollLeft));
}

function draw(canvas, grid, chosen) {
  const [width, height] = [grid.wildType.length * WIDTH, AXIS + grid.letters.length * HEIGHT];
  const scale = Math.min(devicePixelRatio, LARGEST / width);
  Object.assign(canvas, { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const context = canvas.getContext("2d");
  const colors = colorsOf();
  context.scale(scale, scale);
  drawAxis(context, grid, colors);
  grid.scores.forEach((scores, row) => {
    scores.forEach((score, place) => {
      context.fillStyle = score === null ? colors.wildType : shadeOf(colors, placeOn(grid.limit, score));
      context.fillRect(place * WIDTH, AXIS + row * HEIGHT, WIDTH - 1, HEIGHT - 1);
      if (score !== null) return;
      context.fillStyle = colors.muted;
      context.fillText(grid.wildType[place], place * WIDTH + WIDTH / 2, AXIS + row * HEIGHT + HEIGHT / 2);
    });
  });
  if (!chosen) return;
  context.strokeStyle = colors.text;
  context.lineWidth = 2;
  context.strokeRect(chosen.place * WIDTH, AXIS + chosen.row * HEIGHT, WIDTH - 1, HEIGHT - 1);
}

/** The letters of the sequence, and a number at every tenth. */
function drawAxis(context, grid, colors) {
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = "11px system-ui, sans-serif";
  grid.wildType.forEach((letter, place) => {
    const middle = place * WIDTH + WIDTH / 2;
    context.fillStyle = colors.text;
    context.fillText(letter, middle, AXIS - 10);
    if (place !== 0 && (place + grid.offset) % TICKS !== 0) return;
    context.fillStyle = colors.muted;
    context.fillText(String(place + grid.offset), Math.max(middle, WIDTH), 10);
  });
}

/** The colours from the least to the most probable letter. */
export function Scale({ limit }) {
  palette.value; // the colours are those of the theme
  const colors = colorsOf();
  return html`<p class="legend mutation-scale small muted" role="img" aria-label="Colours by score">
    <span>${number(-limit)}</span>${[-1, -0.5, 0, 0.5, 1].map(
      (place) => html`<i style=${{ background: shadeOf(colors, place) }}></i>`,
    )}<span>${number(limit)}</span></p>`;
}
