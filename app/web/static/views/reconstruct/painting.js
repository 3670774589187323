// Conversion of brush strokes to a mask.
import { batch } from "../../core/html.js";
import { mode, painted, shownMask } from "./state.js";

/** The mask to paint on: the one that is shown, as a copy. */
function start() {
  const shown = shownMask();
  return shown && { shape: shown.shape, flat: shown.flat.slice() };
}

/** Whether a patch is masked now, even if it has not been drawn yet. */
export const isMasked = (offset) => shownMask()?.flat[offset] === 1;

/** Sets patches; offsets: where they lie in the flat mask. */
export function paint(offsets, value) {
  const next = start();
  if (!next) return;
  for (const offset of offsets) next.flat[offset] = value;
  put(next);
}

export function invert() {
  const next = start();
  if (next) put({ ...next, flat: next.flat.map((value) => 1 - value) });
}

export function clear() {
  const next = start();
  if (next) put({ ...next, flat: new Uint8Array(next.flat.length) });
}

function put(next) {
  batch(() => {
    painted.value = next;
    mode.value = "painted";
  });
}
