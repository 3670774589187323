// The state of the view. It is kept while other views are open, and in the URL so that it can be shared.
import { batch, computed, signal } from "../../core/html.js";
import { route, setParams } from "../../core/router.js";
import { readShare, writeShare } from "./groups.js";
import { optionsIn, withOption } from "./options.js";
import {
  carry,
  follow,
  maskOf,
  masksOf,
  moved,
  readMarks,
  readMasked,
  rewrite,
  split,
  writeMarks,
  writeMasked,
} from "./words.js";

export const FOUNDING = "The [MASK] chase the [MASK] in the savanna.";
const LONGEST_SHARED = 6000; // characters; longer texts stay out of the address

export const text = signal(FOUNDING);
/**
 * Indices of masked words → true, or the lengths of a span, such as "1-4". Masks that were typed are not among them.
 * @type {import("../../vendor/signals.js").Signal<Record<number, true | string>>}
 */
export const masked = signal({});
/**
 * Indices of masks → the word that the reader has chosen for them.
 * @type {import("../../vendor/signals.js").Signal<Record<number, string>>}
 */
export const picks = signal({});
export const model = signal(null); // an id, or null for the first that can
export const beside = signal(null); // the id of a second model, or null
/**
 * The options that are not at their defaults, by name.
 * @type {import("../../vendor/signals.js").Signal<Record<string, string>>}
 */
export const options = signal({});
/** What is masked at random: {ratio, seed, wholeWords}. */
export const share = signal(readShare());
const TABS = ["fill", "whole", "share", "mutations"];
export const tab = signal("fill"); // one of TABS

/** How the model's tokens divide the text, see words.js; null for a model that masks words. */
export const division = signal(null);

/** What a click masks, as a noun. */
export const unit = computed(() => (division.value ? "token" : "word"));

export const words = computed(() => split(text.value, division.value));
export const masks = computed(() => masksOf(words.value, masked.value));

let automatic = FOUNDING; // the text that the page has put there itself

/** Whether the text is one of the page's own, which another model's example may replace. */
export const isUntouched = () => text.value === automatic && !masksTouched();

/** Begins with an example of a model's own data, or without one with the page's first text. */
export function suggest(example) {
  const next = example ?? FOUNDING;
  if (!isUntouched() || next === automatic) return;
  automatic = next;
  start({ text: next });
}

let written = null; // the address as this view has last made it
let given = true; // the marks are of an address or an example: they count the units of a division yet to come

export function edit(value) {
  const before = words.value;
  batch(() => {
    division.value = moved(division.value, text.value, value);
    text.value = value;
    masked.value = follow(before, words.value, masked.value);
    picks.value = follow(before, words.value, picks.value);
  });
}

/** Divides the text as a model does. */
export function divide(next) {
  const before = words.value;
  const isNew = !given && (next || division.value);
  given = false;
  batch(() => {
    division.value = next;
    if (!isNew) return;
    masked.value = carry(before, words.value, masked.value);
    picks.value = carry(before, words.value, picks.value);
  });
}

/** Masks a word, or unmasks it. A typed mask becomes the word that is shown in its place. */
export function toggle(word, standing) {
  batch(() => {
    const { [word.index]: _, ...otherPicks } = picks.value;
    picks.value = otherPicks;
    if (word.literal) {
      if (standing)
        edit(rewrite(text.value, words.value, {}, (each) => (each.index === word.index ? standing : each.text)));
    } else if (masked.value[word.index]) {
      const { [word.index]: __, ...others } = masked.value;
      masked.value = others;
    } else masked.value = { ...masked.value, [word.index]: true };
  });
}

/** Makes a mask a span of so many tokens, "1-4" for one to four; null: a plain mask. */
export function lengthen(mask, lengths) {
  const { [mask.index]: _, ...otherPicks } = picks.value;
  batch(() => {
    picks.value = otherPicks;
    if (mask.literal) edit(text.value.slice(0, mask.start) + maskOf(lengths) + text.value.slice(mask.end));
    else masked.value = { ...masked.value, [mask.index]: lengths ?? true };
  });
}

export function pick(index, word) {
  const { [index]: was, ...others } = picks.value;
  picks.value = was === word ? others : { ...others, [index]: word };
}

export const setOption = (name, value) => (options.value = withOption(options.value, name, value));

export function start(example) {
  given = true;
  batch(() => {
    text.value = example.text;
    division.value = null;
    masked.value = Object.fromEntries((example.mask ?? []).map((index) => [index, true]));
    picks.value = {};
  });
}

/** Reads the state from the URL, unless this view has written that URL. */
export function read() {
  const { view, params } = route.value;
  if (view !== "fill" || JSON.stringify(params) === written) return;
  batch(() => {
    if (params.text !== undefined) {
      given = true;
      division.value = null;
      text.value = params.text;
      masked.value = readMasked(params.hide); // the name of the masks in links that were shared
      picks.value = readMarks(params.pick);
    }
    if (params.text !== undefined || Object.keys(optionsIn(params)).length) options.value = optionsIn(params);
    if (params.text !== undefined || params.share) share.value = readShare(params.share);
    if (params.model) model.value = params.model;
    if (params.beside) beside.value = params.beside;
    if (params.tab) tab.value = TABS.includes(params.tab) ? params.tab : "fill";
  });
}

export function write() {
  const isPlain = !model.value && !beside.value && tab.value === "fill" && !Object.keys(options.value).length;
  const isStart = isPlain && text.value === FOUNDING && !masksTouched();
  const shared = text.value.length <= LONGEST_SHARED;
  const params = {
    text: shared ? text.value : undefined,
    hide: shared ? writeMasked(masked.value) : undefined,
    pick: shared ? writeMarks(picks.value) : undefined,
    model: model.value ?? undefined,
    beside: beside.value ?? undefined,
    tab: tab.value === "fill" ? undefined : tab.value,
    share: writeShare(share.value),
    ...options.value,
  };
  if (route.peek().view !== "fill") return;
  setParams(isStart ? {} : params);
  written = JSON.stringify(route.peek().params);
}

const masksTouched = () => Object.keys(masked.value).length > 0 || Object.keys(picks.value).length > 0;
