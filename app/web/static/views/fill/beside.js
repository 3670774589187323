// A second model's answer to the same text, on the same scale.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { html, useSignalEffect } from "../../core/html.js";
import { able } from "../../core/models.js";
import { Select } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Candidates } from "./candidates.js";
import { arrange, requestFor, standing } from "./predictions.js";
import * as state from "./state.js";

const TYPING = 250; // ms
const answer = latest();
let asked = null;

/** The choice of the second model; nothing where there is no other one. */
export function BesideSelect({ model }) {
  const others = able("fill-mask").filter((each) => each.id !== model.id);
  if (!others.length) return null;
  const options = [{ value: "", label: "none" }, ...others.map((each) => ({ value: each.id, label: each.id }))];
  return html`<${Select} label="Beside it" value=${state.beside.value ?? ""} options=${options}
    onChange=${(id) => (state.beside.value = id || null)} />`;
}

export function Beside({ model }) {
  useSignalEffect(() => {
    const id = state.beside.value;
    const picks = state.picks.value;
    const masks = state.masks.value;
    const options = state.options.value;
    const request = id && requestFor(id, state.text.value, state.words.value, state.masked.value, picks, options);
    if (JSON.stringify(request) === asked) return;
    asked = JSON.stringify(request);
    if (!request) return answer.clear();
    void answer.run(async (signal) => {
      const given = await ask(request.path, request.body, { signal });
      return { ...arrange(given, { masks, picks, input: request.body.input }), id };
    }, TYPING);
  });
  const id = state.beside.value;
  if (!id || id === model.id || !state.masks.value.length) return null;
  if (answer.error.value) return html`<${ErrorNote} error=${answer.error.value} />`;
  const found = answer.value.value?.id === id ? answer.value.value : null;
  return html`<section class="stack" aria-label=${`Predictions of ${id}`}><h2>${id}</h2>
    ${
      found
        ? html`<${Candidates} filled=${standing(found, state.masks.value, state.picks.value)}
            stale=${answer.pending.value} readOnly />`
        : html`<${Waiting} />`
    }
  </section>`;
}
