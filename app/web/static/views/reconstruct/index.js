import { html } from "../../core/html.js";
import { Waiting } from "../../ui/status.js";

export function ReconstructView() {
  return html`<div class="view"><h1>Reconstruct</h1><${Waiting} /></div>`;
}
