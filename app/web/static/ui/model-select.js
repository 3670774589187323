// Which model answers: those of the store that can do what the view needs.
import { html } from "../core/html.js";
import { Select } from "./controls.js";

export function ModelSelect({ models, value, onChange, label = "Model" }) {
  const options = models.map((model) => ({
    value: model.id,
    label: `${model.id}${model.loaded ? "" : " (not loaded yet)"}`,
  }));
  if (!models.some((model) => model.id === value)) options.unshift({ value, label: value }); // an older version
  return html`<${Select} label=${label} value=${value} options=${options} onChange=${onChange} />`;
}
