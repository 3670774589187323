// What every component needs: `html` (JSX-like templates), hooks and signals, from one place.
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export { Fragment, createPortal, render } from "../vendor/preact.js";
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
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
