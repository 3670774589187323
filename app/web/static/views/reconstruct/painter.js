// A grid of patches over a picture, painted by mouse, finger or keyboard.
import { html, useId, useLayoutEffect, useRef, useSignal } from "../../core/html.js";
import { color, palette } from "../../core/theme.js";
import { between } from "./grid.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Lies over its parent, which is positioned. columns × rows cells, of which `extent` columns are in sight (the
 * last one of a sound may be cut). masked(x, y) → whether a cell is grey. onPaint(cells, value): what a stroke
 * covers. describe(x, y): what a screen reader says of a cell. brush: cells of its side.
 */
export function Painter({ columns, rows, extent = columns, masked, onPaint, describe, brush = 1, label }) {
  const canvas = useRef();
  const stroke = useRef(null);
  const help = useId();
  const cursor = useSignal(null); // the cell of the keyboard, or null
  const said = useSignal("");

  const cell = cursor.value;
  useLayoutEffect(() => {
    const redraw = () => canvas.current && draw(canvas.current, { columns, rows, extent, masked, cursor: cell });
    redraw();
    const observer = new ResizeObserver(redraw);
    observer.observe(canvas.current);
    return () => observer.disconnect();
  });
  palette.value; // drawn anew when colours change

  /** @returns {[number, number]} */
  const cellAt = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * extent);
    const y = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return [Math.min(Math.max(x, 0), columns - 1), Math.min(Math.max(y, 0), rows - 1)];
  };
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    canvas.current.setPointerCapture(event.pointerId);
    const cell = cellAt(event);
    stroke.current = { last: cell, value: masked(...cell) ? 0 : 1 };
    cursor.value = null;
    onPaint(widened([cell], brush, columns, rows), stroke.current.value);
  };
  const onPointerMove = (event) => {
    if (!stroke.current) return;
    const cell = cellAt(event);
    const { last, value } = stroke.current;
    if (cell[0] === last[0] && cell[1] === last[1]) return;
    onPaint(widened(between(last, cell), brush, columns, rows), value);
    stroke.current.last = cell;
  };
  const onPointerUp = () => (stroke.current = null);

  const onKeyDown = (event) => {
    const [x, y] = cursor.value ?? [0, 0];
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const value = masked(x, y) ? 0 : 1;
      onPaint(widened([[x, y]], brush, columns, rows), value);
      cursor.value = [x, y];
      said.value = `${describe(x, y)}: ${value ? "masked" : "visible"}`;
    } else if (ARROWS[event.key]) {
      event.preventDefault();
      const [dx, dy] = ARROWS[event.key];
      const next = [Math.min(Math.max(x + dx, 0), columns - 1), Math.min(Math.max(y + dy, 0), rows - 1)];
      if (event.shiftKey) onPaint(widened([next], brush, columns, rows), masked(x, y) ? 1 : 0);
      cursor.value = next;
      said.value = `${describe(...next)}: ${(event.shiftKey ? masked(x, y) : masked(...next)) ? "masked" : "visible"}`;
    }
  };

  const onFocus = (event) => {
    if (event.target.matches(":focus-visible")) cursor.value ??= [0, 0];
  };

  return html`<div class="painter" role="application" tabindex="0" aria-label=${label} aria-describedby=${help}
      onKeyDown=${onKeyDown} onFocus=${onFocus}
        onBlur=${() => (cursor.value = null)}>
    <canvas ref=${canvas} onPointerDown=${onPointerDown} onPointerMove=${onPointerMove} onPointerUp=${onPointerUp}
      onPointerCancel=${onPointerUp}></canvas>
    <span id=${help} class="visually-hidden">
      Arrow keys move, space masks or shows a patch, shift with an arrow goes on painting.</span>
    <span class="visually-hidden" aria-live="polite">${said.value}</span>
  </div>`;
}

/** The cells, each widened to a square of `brush` cells, without those beside the grid. */
function widened(cells, brush, columns, rows) {
  const from = -Math.floor((brush - 1) / 2);
  const found = new Map();
  for (const [x, y] of cells) {
    for (let dy = from; dy < from + brush; dy++) {
      for (let dx = from; dx < from + brush; dx++) {
        const [cx, cy] = [x + dx, y + dy];
        if (cx >= 0 && cy >= 0 && cx < columns && cy < rows) found.set(cy * columns + cx, [cx, cy]);
      }
    }
  }
  return [...found.values()];
}

function draw(canvas, { columns, rows, extent, masked, cursor }) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  // Edges on whole pixels, so that neighbours leave no seam.
  const left = (x) => Math.round((x * width) / extent);
  const top = (y) => Math.round((y * height) / rows);
  context.fillStyle = color("--patch");
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (masked(x, y)) context.fillRect(left(x), top(y), left(x + 1) - left(x), top(y + 1) - top(y));
    }
  }
  if (cursor) {
    const [x, y] = cursor;
    context.lineWidth = 2 * scale;
    context.strokeStyle = "#ffffff";
    context.strokeRect(left(x), top(y), left(x + 1) - left(x), top(y + 1) - top(y));
    context.strokeStyle = color("--focus");
    context.strokeRect(left(x) + 1, top(y) + 1, left(x + 1) - left(x) - 2, top(y + 1) - top(y) - 2);
  }
}
