import { html } from "../../core/html.js";
import { Waiting } from "../../ui/status.js";

export function ModelsView() {
  return html`<div class="view"><h1>Models</h1><${Waiting} /></div>`;
}
