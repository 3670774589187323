// Short notes that go by themselves; what failed stays until it is closed.
import { html, signal } from "../core/html.js";
import { Button } from "./controls.js";

const SECONDS = 5;
const toasts = signal([]);
let count = 0;

/** kind: "done" or "failed". */
export function toast(text, kind = "done") {
  const entry = { id: ++count, text, kind };
  toasts.value = [...toasts.value, entry];
  if (kind === "done") setTimeout(() => close(entry), SECONDS * 1000);
}

/** Shows what went wrong with a deed of the user's. */
export const toastError = (error) => toast(error.message, "failed");

const close = (entry) => (toasts.value = toasts.value.filter((each) => each !== entry));

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      (entry) => html`<div class=${`toast ${entry.kind}`} key=${entry.id}>
      <span>${entry.text}</span>
        <${Button} kind="quiet" icon="close" aria-label="Dismiss" onClick=${() => close(entry)} />
    </div>`,
    )}
  </div>`;
}
