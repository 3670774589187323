// A few strokes each, on a grid of 16; decorative, so the text beside them must say everything.
import { html } from "../core/html.js";

const PATHS = {
  chevron: "M6 4l4 4-4 4",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M6 6h7v7H6zM10 6V3H3v7h3",
  check: "M3 8.5l3.5 3.5L13 5",
  down: "M8 3v10M4 9l4 4 4-4",
  download: "M8 2v8M5 7l3 3 3-3M3 13h10",
  upload: "M8 10V2M5 5l3-3 3 3M3 13h10",
  link: "M7 9l2-2M6 6L4.5 7.5a2.5 2.5 0 0 0 3.5 3.5L9.5 9.5M10 10l1.5-1.5A2.5 2.5 0 0 0 8 5L6.5 6.5",
  plus: "M8 3v10M3 8h10",
  trash: "M3 5h10M6 5V3h4v2M5 5l.5 8h5l.5-8M7 7.5v3M9 7.5v3",
  warning: "M8 2l6.5 11.5h-13zM8 6.5v3M8 11.4v.2",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.5V11M8 5v.2",
  play: "M5 3l8 5-8 5z",
  pause: "M5 3v10M11 3v10",
  refresh: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  dark: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  system: "M2 3h12v8H2zM6 14h4M8 11v3",
  key: "M6 7a3 3 0 1 0 0 2h8v2M11 9v1.5",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"
      stroke-linejoin="round" />
  </svg>`;
}
