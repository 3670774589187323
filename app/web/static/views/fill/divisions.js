// How the chosen model divides the text. The server is asked once for a model that masks words, and for each text where
// single tokens can be masked.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { signal, untracked } from "../../core/html.js";
import * as state from "./state.js";
import { spansOfTokens } from "./words.js";

/**
 * name@version → "word", "token", or "failed", for which words are shown until the next text.
 * @type {import("../../vendor/signals.js").Signal<Record<string, string>>}
 */
const units = signal({});
const answer = latest();
const keyOf = (model) => `${model.name}@${model.version}`;

let asked = { key: "", text: "" };

/** Whether the shown words are those of the model, so that marks mean what the reader has masked. */
export function isDivided(model) {
  const unit = units.value[keyOf(model)];
  return unit === "token" ? state.division.value !== null : unit !== undefined;
}

/** Divides the text as the model does. It is called in an effect, and again after each change. */
export function divide(model, text, delay) {
  const key = keyOf(model);
  const unit = units.value[key];
  if (unit === "word") return untracked(() => state.divide(null));
  const isSame = asked.key === key && asked.text === text;
  if (!text.trim() || (isSame && (unit === "failed" || state.division.value || answer.pending.peek())))
    return undefined;
  asked = { key, text };
  return answer.run(async (signal) => {
    try {
      const body = { model: model.id, input: text, add_special_tokens: false };
      const { tokenizer, data } = await ask("/v1/tokenize", body, { signal });
      const isExact = tokenizer.unit === "token";
      state.divide(isExact ? { spans: spansOfTokens(text, data[0].tokens), exact: true } : null);
      units.value = { ...units.value, [key]: tokenizer.unit };
    } catch (error) {
      if (!signal.aborted) units.value = { ...units.value, [key]: unit ?? "failed" };
      throw error;
    }
  }, delay);
}
