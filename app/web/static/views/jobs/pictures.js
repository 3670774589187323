// The same held-out items at every evaluation: a slider through what the model has learnt.
import { isAbort, send } from "../../core/api.js";
import { number } from "../../core/format.js";
import { html, useEffect, useRef, useState } from "../../core/html.js";
import { Slider } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { JOBS } from "./watch.js";

const stepOf = (name) => Number(/(\d+)\.\w+$/.exec(name)?.[1] ?? 0);

export function Pictures({ id, names, psnr }) {
  const [chosen, choose] = useState(null); // null: the newest, as it comes
  const [shown, setShown] = useState(null); // {name, url}
  const [error, setError] = useState(null);
  const urls = useRef(new Map());
  const at = chosen === null ? names.length - 1 : Math.min(chosen, names.length - 1);
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
        if (!controller.signal.aborted) setShown({ name, url: urls.current.get(name) });
        setError(null);
      } catch (failed) {
        if (!isAbort(failed) && !controller.signal.aborted) setError(failed);
      }
    })();
    return () => controller.abort();
  }, [name]);

  const step = stepOf(name);
  const value = psnr?.find((point) => point.x === step)?.y;
  const score = value === undefined ? "" : `; ${value.toFixed(2)} dB over all that are held out`;
  return html`<div class="stack">
    ${error && html`<${ErrorNote} error=${error} />`}
    ${
      names.length > 1 &&
      html`
        <${Slider} label="Evaluation" min=${0} max=${names.length - 1} value=${at}
          onInput=${(next) => choose(next === names.length - 1 ? null : next)}
      show=${(index) => `step ${number(stepOf(names[index]))}`} />`
    }
    ${
      shown
        ? html`<figure class="held-out">
          <img src=${shown.url} alt=${`Held-out items at step ${stepOf(shown.name)}: original, masked, predicted`} />
          <figcaption class="small muted">
            Held-out items at step ${number(stepOf(shown.name))}: original, masked, predicted${score}.</figcaption>
        </figure>`
        : html`<${Waiting} />`
    }
  </div>`;
}
