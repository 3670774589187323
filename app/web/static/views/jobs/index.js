import { html } from "../../core/html.js";
import { Waiting } from "../../ui/status.js";

export function JobsView() {
  return html`<div class="view"><h1>Jobs</h1><${Waiting} /></div>`;
}
