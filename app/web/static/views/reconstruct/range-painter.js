// Ranges of time over a spectrogram: dragged with a pointer, or typed.
import { html, useRef, useSignal } from "../../core/html.js";
import { Button } from "../../ui/controls.js";

const LEAST = 0.02; // seconds: a click is no range

const round = (value) => Math.round(value * 100) / 100;

/** Lies over its parent, which is positioned. */
export function RangePainter({ seconds, ranges, onChange }) {
  const place = useRef();
  const drawn = useSignal(null);
  const timeAt = (event) => {
    const box = place.current.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * seconds;
  };
  const begin = (event) => {
    if (event.button !== 0) return;
    place.current.setPointerCapture(event.pointerId);
    const at = timeAt(event);
    drawn.value = [at, at];
  };
  const end = () => {
    if (!drawn.value) return;
    const [from, to] = [Math.min(...drawn.value), Math.max(...drawn.value)];
    drawn.value = null;
    if (to - from >= LEAST) onChange([...ranges, [round(from), round(to)]]);
  };
  const shown = drawn.value ? [...ranges, [Math.min(...drawn.value), Math.max(...drawn.value)]] : ranges;
  return html`
    <div class="range-painter" ref=${place} onPointerDown=${begin} onPointerUp=${end}
      onPointerCancel=${() => (drawn.value = null)}
      onPointerMove=${(e) => drawn.value && ((drawn.value = [drawn.value[0], timeAt(e)]))}>
    ${shown.map(
      ([from, to]) => html`
      <i style=${{ left: `${(from / seconds) * 100}%`, width: `${((to - from) / seconds) * 100}%` }}></i>`,
    )}
  </div>`;
}

/** The same ranges as numbers, which the keyboard reaches. */
export function RangeList({ ranges, onChange }) {
  const put = (at, part, value) => {
    const next = ranges.map((range) => [...range]);
    next[at][part] = value;
    onChange(next);
  };
  return html`<div class="range-list">
    ${ranges.map(
      ([from, to], at) => html`<div class="range-row" key=${at}>
      <input type="number" min="0" step="0.1" value=${from} aria-label=${`Start of range ${at + 1}, in seconds`}
        onChange=${(e) => put(at, 0, Number(e.target.value))} />
      <span aria-hidden="true">–</span>
      <input type="number" min="0" step="0.1" value=${to} aria-label=${`End of range ${at + 1}, in seconds`}
        onChange=${(e) => put(at, 1, Number(e.target.value))} />
      <span>s</span>
      <${Button} kind="quiet" icon="close" aria-label=${`Remove range ${at + 1}`}
        onClick=${() => onChange(ranges.filter((_, each) => each !== at))} />
    </div>`,
    )}
    <div><${Button} class="small" icon="plus" onClick=${() => onChange([...ranges, next(ranges)])}>Add a range<//></div>
    ${!ranges.length && html`<p class="field-note">Drag over the masked spectrogram, or add a range here.</p>`}
  </div>`;
}

/** Half a second behind the last range. */
function next(ranges) {
  const from = ranges.length ? round(Math.max(...ranges.map(([, to]) => to)) + 0.5) : 1;
  return [from, round(from + 0.5)];
}
