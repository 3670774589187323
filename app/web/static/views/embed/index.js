import { html } from "../../core/html.js";
import { Waiting } from "../../ui/status.js";

export function EmbedView() {
  return html`<div class="view"><h1>Embed</h1><${Waiting} /></div>`;
}
