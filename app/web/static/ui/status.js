// Placeholders: waiting, failed, empty.
import { html } from "../core/html.js";
import { forgetKey, key } from "../core/keys.js";
import { Button } from "./controls.js";
import { Icon } from "./icons.js";

/** value: 0…1, or null while it is unknown. */
export function Progress({ label, value = null }) {
  return html`<div class="progress"><span class="progress-label">${label}</span>
    <progress max="1" value=${value ?? undefined} aria-label=${label}></progress></div>`;
}

/** A line shown while content is loading. */
export const Waiting = ({ children = "Loading…" }) =>
  html`<p class="waiting" role="status"><span class="spinner" aria-hidden="true"></span>${children}</p>`;

/** Shows why something failed, and what to do. `error` is an ApiError. */
export function ErrorNote({ error, retry }) {
  const useAnotherKey = () => {
    forgetKey(); // the next request asks for one
    retry?.();
  };
  return html`<div class="note failed" role="alert"><${Icon} name="warning" />
    <div><p>${error.message}</p>
      ${
        error.requestId &&
        error.status >= 500 &&
        html`<p class="small">Request <code>${error.requestId}</code>
        ; the server's log has more.</p>`
      }
    </div>
    ${retry && html`<${Button} onClick=${retry}>Try again<//>`}
    ${error.status === 403 && key.value !== null && html`<${Button} onClick=${useAnotherKey}>Use another key<//>`}
  </div>`;
}

/** kind: "plain" or "warning". */
export const Note = ({ kind = "plain", children }) =>
  html`<div class=${`note ${kind}`}><${Icon} name=${kind === "warning" ? "warning" : "info"} /><div>
    ${children}</div></div>`;

/** An empty view with a hint on what to do first. children: buttons or links. */
export const Empty = ({ title, text, children }) => html`<div class="empty">
  <div class="empty-figure" aria-hidden="true"><i></i><i></i><i></i><i></i></div>
  <h2>${title}</h2>${text && html`<p>${text}</p>`}
  ${children && html`<div class="row center">${children}</div>`}
</div>`;
