// Predictions for the same held-out texts at every evaluation, with a slider over the steps.
import { get, isAbort } from "../../core/api.js";
import { number } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { Slider } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { stepOf } from "./artifacts.js";
import { JOBS } from "./watch.js";

export function Predictions({ id, names }) {
  const chosen = useSignal(null); // null: the newest, as it comes
  const shown = useSignal(null); // {name, items, mask_token}
  const error = useSignal(null);
  const at = chosen.value === null ? names.length - 1 : Math.min(chosen.value, names.length - 1);
  const name = names[at];

  useEffect(() => {
    const controller = new AbortController();
    (async () => {
      try {
        const found = await get(`${JOBS}/${id}/artifacts/${name}`, { signal: controller.signal });
        if (!controller.signal.aborted) shown.value = { name, ...found };
        error.value = null;
      } catch (failed) {
        if (!isAbort(failed) && !controller.signal.aborted) error.value = failed;
      }
    })();
    return () => controller.abort();
  }, [name]);

  return html`<div class="stack">
    ${error.value && html`<${ErrorNote} error=${error.value} />`}
    ${
      names.length > 1 &&
      html`
        <${Slider} label="Evaluation" min=${0} max=${names.length - 1} value=${at}
          onInput=${(next) => (chosen.value = next === names.length - 1 ? null : next)}
          show=${(index) => `step ${number(stepOf(names[index]))}`} />`
    }
    ${
      shown.value
        ? html`<p class="small muted">
            Held-out texts at step ${number(stepOf(shown.value.name))}. Each masked token shows the likeliest
            prediction; the truth stands below where it differs.</p>
          <ol class="held-out-texts" aria-label="Held-out texts">
            ${shown.value.items.map((item) => html`<li><${Item} item=${item} mask=${shown.value.mask_token} /></li>`)}
          </ol>`
        : html`<${Waiting} />`
    }
  </div>`;
}

function Item({ item, mask }) {
  const parts = item.text.split(mask);
  return html`${parts.map(
    (part, at) => html`${part}${at < parts.length - 1 && item.masks[at] && html`<${Mask} mask=${item.masks[at]} />`}`,
  )}`;
}

function Mask({ mask }) {
  const [best] = mask.predictions;
  const right = best.token === mask.truth;
  const all = mask.predictions.map(({ token, score }) => `${token.trim()} ${Math.round(score * 100)}%`).join(", ");
  return html`<span class=${`predicted-mask ${right ? "right" : "wrong"}`} title=${all}>
    ${best.token.trim()}${!right && html` <span class="small muted">(${mask.truth.trim()})</span>`}</span>`;
}
