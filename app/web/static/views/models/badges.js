// Whether a model is the default one, and whether it is in memory.
import { bytes } from "../../core/format.js";
import { html } from "../../core/html.js";

export function Badges({ model }) {
  return html`<span class="row badges">
    ${model.default && html`<span class="badge">default</span>`}
    ${
      model.loaded
        ? html`<span class="badge accent">
      in memory${model.memory_bytes ? ` · ${bytes(model.memory_bytes)}` : ""}</span>`
        : html`<span class="badge">
        not loaded</span>`
    }
  </span>`;
}
