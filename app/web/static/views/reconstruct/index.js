// Reconstruct: masks a part of a picture, a sound or a video, and shows the model's prediction.
import { isAbort } from "../../core/api.js";
import { batch, html, useEffect, useRef, useSignal } from "../../core/html.js";
import { able, choose, models, modelsError, refreshModels } from "../../core/models.js";
import { link, route, setParams } from "../../core/router.js";
import { Details } from "../../ui/controls.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { toastError } from "../../ui/toast.js";
import { AudioPanels } from "./audio-panels.js";
import { CloserLook } from "./closer.js";
import { FormSnippets } from "./code.js";
import { MaskControls, Source } from "./controls.js";
import { EXAMPLES, fetchExample } from "./examples.js";
import { countMasked } from "./grid.js";
import { ImagePanels } from "./image-panels.js";
import { kindOf } from "./media-kind.js";
import { Score } from "./score.js";
import * as state from "./state.js";
import { VideoPanels } from "./video-panels.js";

const PANELS = { image: ImagePanels, audio: AudioPanels, video: VideoPanels };
const KINDS = { image: "images", audio: "sound", video: "video" };
const QUICK = 60; // ms without a newer question, after a slider moved
const PAINTING = 250; // and after a stroke

export function ReconstructView() {
  const brush = useSignal(1);
  useAddress();
  const { item } = state;
  const kind = item.value?.kind;
  const among = kind ? able("reconstruct", kind) : [];
  const model = choose(among, state.modelId.value);
  useQuestions(model);

  return html`<div class="view">
    <div class="view-head"><div>
      <h1>Reconstruct</h1>
      <p class="lead">Mask a part of a picture, a sound or a video. The model predicts it from the rest.</p>
    </div></div>
    <div class="workbench">
      <${Source} onFile=${onFile} onExample=${showExample} />
      <div class="stage stack"><${Stage} kind=${kind} model=${model} brush=${brush.value} /></div>
      ${
        model &&
        html`
        <${MaskControls} models=${among} model=${model} kind=${kind} brush=${brush.value}
          onBrush=${(next) => (brush.value = next)} />`
      }
      ${model && html`<${Outcome} kind=${kind} />`}
    </div>
  </div>`;
}

function Stage({ kind, model, brush }) {
  const { answer, item } = state;
  if (modelsError.value) return html`<${ErrorNote} error=${modelsError.value} retry=${refreshModels} />`;
  if (models.value === null) return html`<${Waiting} />`;
  if (!item.value) return html`<${Start} />`;
  if (!model) return html`<${NoModel} kind=${kind} />`;
  const { value: found } = answer.value;
  const ready = found && found.modality === kind;
  const Panels = PANELS[kind];
  const mask = state.shownMask();
  return html`
    ${
      answer.error.value &&
      html`
      <${ErrorNote} error=${answer.error.value} retry=${() => state.reconstruct(model, 0)} />`
    }
    ${
      !ready &&
      !answer.error.value &&
      html`<div class="panel"><${Waiting}>
      ${model.loaded ? "Looking…" : `Loading ${model.id}…`}<//></div>`
    }
    ${
      ready &&
      mask &&
      html`
      <section class="panel stack" aria-label="Reconstruction">
        <${Panels} answer=${found} mask=${mask} brush=${brush} stale=${answer.pending.value} />
        <${Summary} found=${found} mask=${mask} />
      </section>`
    }`;
}

function Outcome({ kind }) {
  const found = state.answer.value.value;
  const fields = state.maskFields();
  if (found?.modality !== kind) return null;
  return html`<div class="outcome stack">
    <${Score} answer=${found} />
    ${
      kind === "image" &&
      html`<${Details} summary="Look closer: before and after, errors"><${CloserLook} answer=${found} /><//>`
    }
    ${
      fields &&
      html`<${Details} summary="Copy as curl or Python">
      <${FormSnippets} request=${{ file: state.item.value.file.name, fields: { model: found.model, ...fields } }} />
        <//>`
    }
  </div>`;
}

const ASK_FOR = {
  ranges: "Choose what to mask: drag over the masked spectrogram.",
  painted: "Mask at least one patch, and leave at least one visible.",
};

/** Below the pictures, and always of one height: what moved them would lead a stroke astray. */
function Summary({ found, mask }) {
  const masked = countMasked(mask.flat);
  const share = Math.round((masked / mask.flat.length) * 100);
  const { pending } = state.answer;
  if (!state.maskFields()) {
    return html`<p class="small summary" role="status"><strong>
      ${ASK_FOR[state.mode.value] ?? ASK_FOR.painted}</strong></p>`;
  }
  return html`<p class="small muted summary"><span>
    ${masked} of ${mask.flat.length} patches are masked (${share}%), by ${found.model}.</span>
    <span role="status">
      ${pending.value ? html`<span class="spinner" aria-hidden="true"></span> Predicting…` : ""}</span></p>`;
}

function Start() {
  return html`<div class="panel">
    <${Empty} title="Nothing is masked yet"
      text="Take one of the examples, or a file of your own. It goes to this server and nowhere else." /></div>`;
}

function NoModel({ kind }) {
  const others = models.value.filter((model) => model.tasks.includes("reconstruct"));
  const hears = others
    .map((model) => model.id)
    .slice(0, 3)
    .join(", ");
  const other = hears ? ` (there is ${hears}, for other kinds)` : "";
  const advice = "Train one on files of yours: a small one takes minutes.";
  const text = `The model store has none that reconstructs ${KINDS[kind]}${other}. ${advice}`;
  return html`<div class="panel"><${Empty} title=${`No model for ${KINDS[kind]} yet`}
    text=${text}>
    <a class="button primary" href=${link("jobs", ["new"], { modality: kind })}>Train a model<//><//></div>`;
}

let wanted = 0; // how often an item was asked for: what is read slowly may not take the place of a later one
let written = null; // the address as this view has last made it

/** `read` gives the item; `take` is called with it, unless another was asked for meanwhile. */
async function bring(read, take) {
  const own = ++wanted;
  try {
    const item = await read();
    if (own !== wanted) return;
    batch(() => {
      state.answer.clear();
      take(item);
    });
  } catch (error) {
    if (own === wanted && !isAbort(error)) toastError(error);
  }
}

const onFile = (file) => bring(async () => ({ file, kind: await kindOf(file), example: null }), state.show);

const readExample = async (example) => ({ file: await fetchExample(example), kind: example.kind, example: example.id });

const showExample = (example) => bring(() => readExample(example), state.show);

/**
 * Between the address and the state: read when the view opens or the address is edited, written when the state
 * changes.
 */
function useAddress() {
  const given = JSON.stringify(route.value.params);
  useEffect(() => {
    const { params } = route.peek();
    if (given === written || !Object.keys(params).length) return;
    const example = EXAMPLES.find((each) => each.id === params.example);
    if (!example || state.item.peek()?.example === example.id) return state.readParams(params);
    void bring(
      () => readExample(example),
      (item) => {
        state.readParams(params);
        state.item.value = item;
      },
    );
  }, [given]);
  const params = state.toParams();
  useEffect(() => {
    if (!state.item.peek()) return;
    setParams(params);
    written = JSON.stringify(route.peek().params);
  }, [JSON.stringify(params), given]);
}

/** Sends a request whenever its content has changed. */
function useQuestions(model) {
  const before = useRef(null);
  const fields = state.item.value && model ? JSON.stringify(state.maskFields()) : null;
  useEffect(() => {
    if (!fields || fields === "null") return;
    const fresh = before.current !== state.item.value;
    before.current = state.item.value;
    state.reconstruct(model, fresh ? 0 : state.mode.value === "painted" ? PAINTING : QUICK);
  }, [state.item.value, model?.id, model?.version, fields]);
}
