// The choice of the item, the model and the mask.
import { get } from "../../core/api.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { Button, DropZone, Segmented, Select, Slider } from "../../ui/controls.js";
import { ModelSelect } from "../../ui/model-select.js";
import { Camera, hasCamera, usePastedFile } from "./camera.js";
import { EXAMPLES } from "./examples.js";
import { clear, invert } from "./painting.js";
import { RangeList } from "./range-painter.js";
import { answer, item, mode, modelId, ranges, ratio, seed, strategy } from "./state.js";

const SEEDS = 100; // the slider's; an address may carry any

export function Source({ onFile, onExample }) {
  const chosen = item.value;
  const taking = useSignal(false);
  usePastedFile(onFile);
  const onPicture = (file) => {
    taking.value = false;
    onFile(file);
  };
  return html`<section class="stack" aria-label="What is shown">
    <div class="examples" role="group" aria-label="Examples">
      ${EXAMPLES.map(
        (example) => html`
          <button type="button" class="example" aria-pressed=${chosen?.example === example.id ? "true" : "false"}
        aria-label=${`Example: ${example.title}`} title=${example.title} onClick=${() => onExample(example)}>
          <${Thumb} example=${example} /></button>`,
      )}
    </div>
    <${DropZone} label="Drop an image, a sound or a video" hint="or choose or paste a file"
      accept="image/*,audio/*,video/*" onFiles=${([file]) => onFile(file)} />
    ${hasCamera() && html`<${Button} onClick=${() => (taking.value = true)}>Use the camera<//>`}
    ${taking.value && html`<${Camera} onPicture=${onPicture} onClose=${() => (taking.value = false)} />`}
    ${chosen && !chosen.example && html`<p class="small muted file-name">${chosen.file.name}</p>`}
  </section>`;
}

function Thumb({ example }) {
  if (example.kind === "audio") return html`<${Wave} /><span>${example.title}</span>`;
  if (example.type.startsWith("video/"))
    return html`<video src=${example.url} muted playsinline preload="metadata" tabindex="-1"></video>`;
  return html`<img src=${example.url} alt="" />`;
}

const Wave = () => html`<svg viewBox="0 0 32 16" width="32" height="16" aria-hidden="true">
    <path d="M2 7v2M6 5v6M10 2v12M14 6v4M18 3v10M22 5.5v5M26 4v8M30 7v2"
  fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" /></svg>`;

export function MaskControls({ models, model, kind, brush, onBrush }) {
  const strategies = useStrategies(model);
  const modes = [
    { value: "random", label: "At random" },
    { value: "painted", label: "Painted" },
  ];
  if (kind === "audio") modes.push({ value: "ranges", label: "Time ranges" });
  const shared = answer.value.value?.share;
  const named = strategies.map((value) => ({ value, label: NAMES[value] ?? value }));
  const showRatio = (value) =>
    ratio.value === null && shared === undefined ? "as it was trained" : `${Math.round(value * 100)}%`;
  return html`<section class="stack controls" aria-label="What is masked">
    ${
      models.length > 1
        ? html`<${ModelSelect} models=${models} value=${model.id} onChange=${(id) => (modelId.value = id)} />`
        : html`<p class="small muted">Model: ${model.id}</p>`
    }
    <div class="field"><span class="label" aria-hidden="true">What is masked</span>
      <${Segmented} label="What is masked" value=${mode.value} options=${modes}
        onChange=${(next) => (next === "painted" ? invertNothing() : (mode.value = next))} /></div>
    ${
      mode.value === "random" &&
      html`
      <${Select} label="Strategy" value=${strategy.value} onChange=${(next) => (strategy.value = next)}
        options=${[{ value: "", label: "As it was trained" }, ...named]} />
      <${Slider} label="Masked share" min=${0.05} max=${0.95} step=${0.05} value=${ratio.value ?? shared ?? 0.75}
        show=${showRatio} onInput=${(next) => (ratio.value = next)} />
      <${Slider} label="Seed" min=${0} max=${SEEDS - 1} value=${Math.min(seed.value, SEEDS - 1)}
        show=${() => String(seed.value)} onInput=${(next) => (seed.value = next)} />
      <div class="row"><${Button} icon="refresh" onClick=${() => (seed.value = (seed.value + 1) % SEEDS)}>
        Another mask<//></div>`
    }
    ${
      mode.value === "painted" &&
      html`
      <div class="field"><span class="label" aria-hidden="true">Brush</span>
        <${Segmented} label="Brush" value=${brush} onChange=${onBrush}
          options=${[1, 2, 3].map((value) => ({ value, label: `${value} × ${value}` }))} /></div>
      <div class="row"><${Button} onClick=${clear}>Show all<//><${Button} onClick=${invert}>Invert<//></div>`
    }
    ${
      mode.value === "ranges" &&
      html`
      <${RangeList} ranges=${ranges.value} onChange=${(next) => (ranges.value = next)} />`
    }
  </section>`;
}

/** Painting begins with the mask that is shown. */
function invertNothing() {
  invert();
  invert();
}

const NAMES = {
  random: "Single patches",
  block: "Blocks",
  square: "Squares of 2 × 2",
  time: "Moments",
  frequency: "Frequencies",
  "time-frequency": "Moments and frequencies",
  tube: "Tubes through time",
  frame: "Whole moments",
};

/** The strategies of the model's kind, from what the server says of its methods. */
function useStrategies(model) {
  const methods = useSignal([]);
  useEffect(() => {
    const controller = new AbortController();
    get("/v1/pretraining/methods", { signal: controller.signal }).then(
      (found) => (methods.value = found.data),
      () => {},
    );
    return () => controller.abort();
  }, []);
  const method = methods.value.find((each) => each.modality === model.modality);
  const field = method?.hyperparameters.properties.mask_strategy;
  return field?.anyOf?.find((each) => each.enum)?.enum ?? [];
}
