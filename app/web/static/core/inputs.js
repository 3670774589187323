// The inputs of a view that asks a model about texts, one a line, or about files.

const TYPING = 400; // ms

/**
 * The inputs of a request: [{label, input, url?}], texts for a model of text, else the files of its kind.
 * state: signals `lines` (texts) and `files` ([{name, kind, uri, url}]).
 */
export function inputsOf(state, model) {
  if (model.modality === "text") return state.lines.value.map((line) => ({ label: line, input: line }));
  return state.files.value
    .filter((file) => file.kind === model.modality)
    .map((file) => ({ label: file.name, input: file.uri, url: file.url }));
}

/**
 * Asks about inputs unless the last question was the same. No inputs clear the answer.
 * answer: of latest(). ask: gets the signal that cancels it. again: whether to ask the same question once more.
 */
export function askAbout(answer, model, items, ask, again = false) {
  if (!items.length) {
    answer.about = undefined; // what is cleared is asked for again
    return answer.clear();
  }
  const about = JSON.stringify([model.id, model.version, items.map((item) => item.url ?? item.label)]);
  if (!again && answer.about === about) return undefined;
  const first = answer.about === undefined;
  answer.about = about;
  return answer.run(ask, first ? 0 : TYPING);
}
