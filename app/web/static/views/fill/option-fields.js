// The form of the options. It is closed until the reader opens it, or until an error is about one of them.
import { html } from "../../core/html.js";
import { Button, Details, Select, Switch, TextField, useOpened } from "../../ui/controls.js";
import { GROUPS, optionOf } from "./options.js";
import * as state from "./state.js";

/** error: of the last request. onInput(change): calls `change`, which is one of many while a reader types. */
export function Options({ error, onInput }) {
  const wrong = optionOf(error);
  const open = useOpened(wrong !== null);
  const count = Object.keys(state.options.value).length;
  const summary = html`Options${count > 0 && html` <span class="badge accent">${count} set</span>`}
    ${wrong && html` <span class="badge danger">error</span>`}`;
  return html`<${Details} summary=${summary} open=${open}>
    <div class="stack fill-options">
      ${GROUPS.map(
        ({ title, options }) => html`<section class="stack" role="group" aria-label=${title}><h3>${title}</h3>
        <div class="field-grid">${options.map(
          (option) => html`<${Option} key=${option.name} option=${option} onInput=${onInput}
            error=${option.name === wrong ? error.message : undefined} />`,
        )}</div></section>`,
      )}
      ${
        count > 0 &&
        html`<div class="row"><${Button} class="small" onClick=${() => (state.options.value = {})}>
          Reset the options<//></div>`
      }
    </div><//>`;
}

function Option({ option: { name, kind, label, hint, usual, choices }, error, onInput }) {
  const value = state.options.value[name] ?? "";
  const set = (next) => state.setOption(name, next);
  if (kind === "flag")
    return html`<${Switch} label=${label} hint=${hint} error=${error} checked=${value === "true"}
      onChange=${(checked) => set(checked ? "true" : "")} />`;
  if (kind === "choice")
    return html`<${Select} label=${label} hint=${hint} error=${error} value=${value} onChange=${set}
      options=${choices.map(([each, text]) => ({ value: each, label: text }))} />`;
  return html`<${TextField} label=${label} hint=${hint} error=${error} value=${value} placeholder=${usual}
    inputmode=${kind === "number" ? "decimal" : undefined} autocomplete="off" spellcheck="false"
    onInput=${(next) => onInput(() => set(next))} />`;
}
