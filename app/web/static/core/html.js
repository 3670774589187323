// The imports of every component: `html` (JSX-like templates), hooks and signals.
//
// State is kept in signals only. `signal` in a module holds state that a view keeps while other views are open, or
// shares between its components; `useSignal` holds the state of one component. `useRef` holds elements and values
// that do not affect rendering.
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export { Fragment, createPortal, render } from "../vendor/preact.js";
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef } from "../vendor/hooks.js";
export {
  batch,
  computed,
  effect,
  signal,
  untracked,
  useComputed,
  useSignal,
  useSignalEffect,
} from "../vendor/signals.js";

export const html = htm.bind(h);
