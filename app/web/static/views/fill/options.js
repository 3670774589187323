// The options of a request to fill masks. Pure functions. Values are text, as typed or chosen, by the names of the API.
// An option without a value has the API's default. The server judges the values, and its error names the option.

/**
 * kind: "flag", "choice", "number", "list" (words with commas between) or "text".
 * @typedef {{name: string, kind: string, label: string, hint?: string, usual?: string, choices?: string[][]}} Option
 * @type {{title: string, options: Option[]}[]}
 */
export const GROUPS = [
  {
    title: "Candidates",
    options: [
      { name: "whole_words", kind: "flag", label: "Whole words", hint: "Words of up to 4 tokens as candidates." },
      { name: "words_only", kind: "flag", label: "Words only", hint: "No parts of words, no punctuation." },
      { name: "no_repeats", kind: "flag", label: "No repeats", hint: "No word that the text already has." },
      { name: "allow", kind: "list", label: "Allow only", hint: "Words of one token, with commas between." },
      { name: "ban", kind: "list", label: "Ban", hint: "Words, with commas between." },
      { name: "pattern", kind: "text", label: "Pattern", hint: "A regular expression, such as ^un or ing$." },
    ],
  },
  {
    title: "Probabilities",
    options: [
      { name: "temperature", kind: "number", label: "Temperature", usual: "1", hint: "Higher: more even." },
      { name: "sample", kind: "number", label: "Sample", usual: "0", hint: "Tokens to draw for each mask." },
      { name: "seed", kind: "number", label: "Seed", usual: "0", hint: "Of samples and of Gibbs sampling." },
    ],
  },
  {
    title: "Several masks together",
    options: [
      {
        name: "decode",
        kind: "choice",
        label: "Filled by",
        choices: [
          ["", "Beam search"],
          ["greedy", "Greedy search"],
          ["independent", "Each mask by itself"],
          ["gibbs", "Gibbs sampling"],
        ],
      },
      {
        name: "order",
        kind: "choice",
        label: "Order",
        choices: [
          ["", "Most certain mask first"],
          ["left-to-right", "Left to right"],
        ],
        hint: "Has no effect if each mask is filled by itself.",
      },
    ],
  },
];

const OPTIONS = GROUPS.flatMap((group) => group.options);
const JOINT = ["decode", "order"];
const SEQUENCES = 5; // joint fillings that are asked for

/** The options among the parameters of an address. */
export const optionsIn = (params) =>
  Object.fromEntries(OPTIONS.filter(({ name }) => params[name]).map(({ name }) => [name, params[name]]));

/** The options with one changed; "" is its default. */
export function withOption(values, name, value) {
  const { [name]: _, ...others } = values;
  return value === "" ? others : { ...others, [name]: value };
}

/**
 * The fields of a request. several: whether masks of the text are filled together. spans: whether it has spans, which
 * are always filled so, and have no entropy.
 */
export function fieldsOf(values, several, spans = false) {
  const joint = several || spans;
  const isDrawn = Boolean(values.sample) || (joint && values.decode === "gibbs");
  const isSent = ({ name }) => values[name] && (name !== "seed" || isDrawn) && (joint || !JOINT.includes(name));
  const fields = Object.fromEntries(OPTIONS.filter(isSent).map((option) => [option.name, valueOf(option, values)]));
  if (joint && !values.whole_words) fields.num_sequences = values.decode === "greedy" ? 1 : SEQUENCES;
  if (!values.whole_words && !spans) fields.entropy = true;
  return fields;
}

/** A value as the API takes it. A number that is none stays text, for the server to say so. */
function valueOf({ name, kind }, values) {
  const value = values[name];
  if (kind === "flag") return true;
  if (kind === "list")
    return value
      .split(",")
      .map((word) => word.trim())
      .filter(Boolean);
  return kind === "number" && Number.isFinite(Number(value)) ? Number(value) : value;
}

/** The option that an error is about, or null. */
export function optionOf(error) {
  const name = error?.param?.split(".")[0];
  return OPTIONS.some((option) => option.name === name) ? name : null;
}
