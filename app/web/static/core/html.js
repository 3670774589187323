// What every component needs: `html` (JSX-like templates), hooks and signals, from one place.
//
// State is kept in signals only: `signal` in a module for what a view keeps while other views are open or shares
// between its components, and `useSignal` for what one component keeps. `useRef` holds elements and what no drawing
// depends on.
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
