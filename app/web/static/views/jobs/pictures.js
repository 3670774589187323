// Pictures of the same held-out items at every evaluation, with a slider over the steps.
import { isAbort, send } from "../../core/api.js";
import { number } from "../../core/format.js";
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { Slider } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { stepOf } from "./artifacts.js";
import { JOBS } from "./watch.js";

export function Pictures({ id, names, psnr }) {
  const chosen = useSignal(null); // null: the newest, as it comes
  const shown = useSignal(null); // {name, url}
  const error = useSignal(null);
  const urls = useRef(new Map());
  const at = chosen.value === null ? names.length - 1 : Math.min(chosen.value, names.length - 1);
  const name = names[at];

  useEffect(() => () => urls.current.forEach((url) => URL.revokeObjectURL(url)), []);
  useEffect(() => {
    const controller = new AbortController();
    (async () => {
      try {
        // Through the client and not as an address of its own: a picture's address carries no key.
        if (!urls.current.has(name)) {
          const response = await send(`${JOBS}/${id}/artifacts/${name}`, { signal: controller.signal });
          urls.current.set(name, URL.createObjectURL(await response.blob()));
        }
        if (!controller.signal.aborted) shown.value = { name, url: urls.current.get(name) };
        error.value = null;
      } catch (failed) {
        if (!isAbort(failed) && !controller.signal.aborted) error.value = failed;
      }
    })();
    return () => controller.abort();
  }, [name]);

  const step = stepOf(name);
  const value = psnr?.find((point) => point.x === step)?.y;
  const score = value === undefined ? "" : `; ${value.toFixed(2)} dB over all that are held out`;
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
        ? html`<figure class="held-out">
          <img src=${shown.value.url}
            alt=${`Held-out items at step ${stepOf(shown.value.name)}: original, masked, predicted`} />
          <figcaption class="small muted">
            Held-out items at step ${number(stepOf(shown.value.name))}: original, masked, predicted${score}.
              </figcaption>
        </figure>`
        : html`<${Waiting} />`
    }
  </div>`;
}
