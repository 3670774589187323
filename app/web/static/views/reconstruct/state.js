// The state of the view: one item, its mask, and the newest response.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { batch, signal } from "../../core/html.js";
import { countMasked, flatten, isAskable, nest, pack, packRanges, shapeOf, unpack, unpackRanges } from "./grid.js";

const MAX_SHARED = 1500; // characters of a mask in an address

/** null, or {file, kind, example: an id or null}. */
export const item = signal(null);

/** "random": strategy, ratio and seed; "painted": `painted`; "ranges": `ranges`, of sounds. */
export const mode = signal("random");
export const strategy = signal(""); // "" and null: the model's own
export const ratio = signal(null);
export const seed = signal(0);
export const painted = signal(null); // {shape, flat}: the mask as it is painted
export const ranges = signal([]); // [[start, end], …] in seconds
export const modelId = signal(null);

/** The newest answer, with its media as object URLs. */
export const answer = latest();

let kept = [[], []]; // object URLs of the answer that is shown, and of the one before it, which may still be drawn

export function readParams(params) {
  batch(() => {
    modelId.value = params.model ?? null;
    strategy.value = params.strategy ?? "";
    const share = Number(params.ratio);
    ratio.value = share > 0 && share < 1 ? share : null;
    const number = Number(params.seed ?? 0);
    seed.value = Number.isInteger(number) && number >= 0 && number < 2 ** 32 ? number : 0;
    painted.value = unpack(params.mask);
    ranges.value = unpackRanges(params.ranges);
    mode.value = painted.value ? "painted" : ranges.value.length ? "ranges" : "random";
  });
}

/** What stands in the address: all of it where an example is shown, and the model alone where a file is. */
export function toParams() {
  const model = modelId.value;
  if (!item.value?.example) return { model };
  const shown = { example: item.value.example, model };
  if (mode.value === "painted" && painted.value) {
    const mask = pack(painted.value);
    return mask.length <= MAX_SHARED ? { ...shown, mask } : shown;
  }
  if (mode.value === "ranges") return { ...shown, ranges: packRanges(ranges.value) };
  return { ...shown, strategy: strategy.value, ratio: ratio.value, seed: seed.value || null };
}

/** A new item is masked at random: a mask that was painted for another one says nothing of it. */
export function show(next) {
  batch(() => {
    if (item.value) {
      painted.value = null;
      ranges.value = [];
      mode.value = "random";
      if (item.value.kind !== next.kind) strategy.value = ""; // each kind has its own
    }
    item.value = next;
  });
}

/** The request's fields of the mask. Null while no request can be sent. */
export function maskFields() {
  if (mode.value === "painted") {
    if (!painted.value || !isAskable(painted.value.flat)) return null;
    return { mask: nest(painted.value.flat, painted.value.shape) };
  }
  if (mode.value === "ranges") return ranges.value.length ? { ranges: ranges.value } : null;
  const fields = {};
  if (strategy.value) fields.mask_strategy = strategy.value;
  if (ratio.value !== null) fields.mask_ratio = ratio.value;
  if (seed.value) fields.seed = seed.value;
  return fields;
}

/** Asks for the item as it is masked now, after `delay` ms without a newer question. */
export function reconstruct(model, delay) {
  const fields = maskFields();
  const { file } = item.value;
  if (!fields) return;
  void answer.run(async (aborted) => {
    const form = new FormData();
    form.append("model", model.id);
    for (const [name, value] of Object.entries(fields))
      form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
    form.append("file", file);
    const response = await ask("/v1/reconstruct", form, { signal: aborted });
    return withUrls(response);
  }, delay);
}

function withUrls(response) {
  const media = {};
  for (const [name, { media_type: type, data }] of Object.entries(response.media)) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    media[name] = URL.createObjectURL(new Blob([bytes], { type }));
  }
  kept[1].forEach((url) => URL.revokeObjectURL(url));
  kept = [Object.values(media), kept[0]];
  const flat = flatten(response.mask);
  return { ...response, media, shape: shapeOf(response.mask), flat, share: countMasked(flat) / flat.length };
}

/** The mask to draw: as it is painted, else as the server has drawn it. */
export function shownMask() {
  if (mode.value === "painted" && painted.value) return painted.value;
  const { value } = answer.value;
  return value && { shape: value.shape, flat: value.flat };
}
