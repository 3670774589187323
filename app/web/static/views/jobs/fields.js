// The settings that few need, made from the server's description of them.
import { html } from "../../core/html.js";
import { Details, Select, TextField, useOpened } from "../../ui/controls.js";

const TITLES = {
  length: "Early stopping",
  optimiser: "Optimiser",
  masking: "Masking",
  contrast: "Contrast",
  units: "Units and distractors",
  data: "Data",
  architecture: "Architecture",
  teacher: "Teacher",
  evaluation: "Evaluation and checkpoints",
  computation: "Computation",
};

/** groups: [{id, fields}]; values: name → text; errors: name → message; config: of the preset. */
export function AdvancedSettings({ groups, errors, ...rest }) {
  const open = useOpened(groups.some(({ fields }) => fields.some((field) => errors[field.name])));
  return html`<${Details} summary="Advanced settings" open=${open}>
    <div class="advanced">
      ${groups.map((group) => html`<${Group} key=${group.id} group=${group} errors=${errors} ...${rest} />`)}</div>
        <//>`;
}

function Group({ group: { id, fields }, values, errors, config, onInput }) {
  const open = useOpened(fields.some((field) => errors[field.name]));
  const changed = fields.filter((field) => (values[field.name] ?? "") !== "").length;
  return html`
    <${Details} open=${open}
      summary=${html`${TITLES[id] ?? id}${changed > 0 && html` <span class="badge accent">${changed} set</span>`}`}>
    <div class="field-grid">${fields.map(
      (field) => html`
        <${SchemaField} key=${field.name} field=${field} value=${values[field.name] ?? ""} error=${errors[field.name]}
      standard=${standard(field, config)} onInput=${(value) => onInput(field.name, value)} />`,
    )}</div><//>`;
}

/** Describes the value of a field that is left empty. */
export function standard(field, config) {
  if (field.default !== null) return shown(field.default);
  const own = config?.[field.name];
  if (own !== undefined && typeof own !== "object") return shown(own);
  return field.otherwise ?? "unset";
}

const shown = (value) => (value === true ? "yes" : value === false ? "no" : String(value));

export function SchemaField({ field, value, error, standard: usual, onInput }) {
  const { label, hint } = field;
  if (field.kind === "choice" || field.kind === "flag") {
    const options = field.kind === "flag" ? [true, false] : field.options;
    const named = options.map((option) => ({ value: String(option), label: shown(option) }));
    return html`<${Select} label=${label} hint=${hint} error=${error} value=${value} onChange=${onInput}
      options=${[{ value: "", label: `Default: ${usual}` }, ...named]} />`;
  }
  return html`
    <${TextField} label=${label} hint=${hint} error=${error} value=${value} onInput=${onInput} placeholder=${usual}
    inputmode=${field.kind === "number" ? (field.integer ? "numeric" : "decimal") : undefined} autocomplete="off"
      spellcheck="false" />`;
}
