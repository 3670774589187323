import { html } from "../../core/html.js";
import { Waiting } from "../../ui/status.js";

export function FillView() {
  return html`<div class="view"><h1>Fill</h1><${Waiting} /></div>`;
}
