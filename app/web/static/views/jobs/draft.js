// The state of the form of a new job, and the request that it makes.
import { computed, signal } from "../../core/html.js";
import { models } from "../../core/models.js";
import { methodOf, methods } from "./methods.js";
import { describe, parse } from "./schema.js";
import { uploads } from "./uploads.js";

export const LIMITS = [
  { value: "max_minutes", label: "minutes" },
  { value: "epochs", label: "epochs" },
  { value: "max_steps", label: "steps" },
  { value: "max_tokens", label: "tokens" },
];

const EXTENSIONS = {
  text: /\.(txt|jsonl|json|csv|parquet)(\.(gz|xz|zst))?$/i,
  image: /\.(jpe?g|png|webp|bmp|tiff?)$/i,
  audio: /\.(wav|flac|ogg|opus|mp3|m4a|aac)$/i,
  video: /\.(mp4|mov|webm|mkv|gif)$/i,
};

/** Describes the settings of the copied job that the form has no field for. Null if there are none. */
const KEPT = {
  priority: (priority) => (priority ? `Priority ${priority}` : null),
  resources: (resources) =>
    listed(
      {
        device: resources.device,
        memory: resources.memory_gb && `${resources.memory_gb} GB`,
        threads: resources.threads,
        nodes: resources.nodes,
        GPUs: resources.gpus,
      },
      "Only where there is: ",
    ),
  metadata: (metadata) => listed(metadata, "Metadata: "),
  evaluations: (evaluations) => (evaluations?.length ? "The same evaluations" : null),
};

function listed(given, before) {
  const parts = Object.entries(given)
    .filter(([, value]) => value)
    .map(([name, value]) => `${name} ${value}`);
  return parts.length ? before + parts.join(", ") : null;
}

/** The modality that a file's name suggests; null for archives. */
export const suggests = (name) => Object.keys(EXTENSIONS).find((modality) => EXTENSIONS[modality].test(name)) ?? null;

export function draft() {
  const files = uploads();
  const modality = signal("text");
  const methodId = signal(null); // null: the first of the modality
  const modelId = signal(null); // null: the smallest preset
  const name = signal("");
  const limit = signal({ name: "max_minutes", text: "10" });
  const further = signal([]); // [{name, text}]: other limits, as those of a job that this one is like
  const heldOut = signal(null); // null: a share of the files
  const kept = signal([]); // [{name, value, words}]
  const evaluations = signal([]); // as in the request
  const values = signal({}); // hyperparameter → what was typed
  const search = signal(""); // of a sweep: a hyperparameter with its values in each line
  const count = signal(""); // of random jobs of a sweep; empty: every combination

  const ofModality = computed(() => (methods.value ?? []).filter((method) => method.modality === modality.value));
  const method = computed(
    () => ofModality.value.find((each) => each.id === methodId.value) ?? ofModality.value[0] ?? null,
  );
  const continued = computed(() => (models.value ?? []).filter((model) => continues(method.value, model)));
  const model = computed(() => {
    const known = [...(method.value?.presets ?? []), ...continued.value].map((each) => each.id);
    return known.includes(modelId.value) || modelId.value?.includes("@") ? modelId.value : (known[0] ?? null);
  });
  const preset = computed(() => method.value?.presets.find((each) => each.id === model.value) ?? null);

  /** [{id, fields}] of what may be set; the length of the run stands by itself. */
  const groups = computed(() => {
    if (!method.value) return [];
    const limits = LIMITS.map((each) => each.value);
    const fields = Object.entries(method.value.hyperparameters.properties)
      .filter(([each]) => !limits.includes(each))
      .map(([each, property]) => describe(each, property));
    return method.value.groups
      .filter((group) => group !== "architecture" || preset.value)
      .map((group) => ({ id: group, fields: fields.filter((field) => field.group === group) }))
      .filter((group) => group.fields.length);
  });

  /** Every limit that counts: the run ends at the first that is reached. */
  const lengths = computed(() => [limit.value, ...further.value.filter((each) => each.name !== limit.value.name)]);

  const parsed = computed(() => {
    /** @type {Record<string, string>} */
    const errors = {};
    const hyperparameters = {};
    for (const field of groups.value.flatMap((group) => group.fields)) {
      const { value, error } = parse(field, values.value[field.name]);
      if (error) errors[field.name] = error;
      else if (value !== undefined) hyperparameters[field.name] = value;
    }
    for (const { name: limited, text } of lengths.value) {
      const described = method.value && describe(limited, method.value.hyperparameters.properties[limited]);
      const { value, error } = described ? parse(described, text) : {};
      if (error) errors[limited] = error;
      else if (value !== undefined) hyperparameters[limited] = value;
    }
    return { errors, hyperparameters };
  });

  /** The request. Null while a field is missing or wrong. */
  const request = computed(() => {
    const ids = files.entries.value.map((entry) => entry.id);
    if (!ids.length || ids.includes(null) || !model.value || Object.keys(parsed.value.errors).length) return null;
    const type = method.value.id;
    const body = { model: model.value, method: { type, [type]: { hyperparameters: parsed.value.hyperparameters } } };
    if (ids.length === 1) body.training_file = ids[0];
    else body.training_files = files.entries.value.map(({ id, weight }) => (weight === 1 ? id : { id, weight }));
    if (heldOut.value) body.validation_file = heldOut.value.id;
    if (name.value.trim()) body.name = name.value.trim();
    for (const each of kept.value) body[each.name] = each.value;
    if (evaluations.value.length) body.evaluations = evaluations.value;
    return body;
  });

  /** Begins as another job was: its model, settings and files (with weights); held: the file held out, or null. */
  function like(job, stored, held) {
    const found = methodOf(job.method.type);
    modality.value = found.modality;
    methodId.value = found.id;
    modelId.value = job.model;
    const given = Object.entries(job.hyperparameters).filter(
      ([each, value]) => value !== found.hyperparameters.properties[each]?.default,
    );
    const limits = given
      .filter(([each]) => LIMITS.some((one) => one.value === each))
      .map(([each, value]) => ({ name: each, text: String(value) }));
    limit.value = limits[0] ?? { name: "epochs", text: "1" };
    further.value = limits.slice(1);
    values.value = Object.fromEntries(
      given.filter(([each]) => !LIMITS.some((one) => one.value === each)).map(([each, value]) => [each, String(value)]),
    );
    for (const file of stored) files.put(file);
    heldOut.value = held;
    kept.value = Object.entries(KEPT)
      .map(([each, words]) => ({ name: each, value: job[each], words: words(job[each]) }))
      .filter(({ words }) => words);
  }

  return {
    files,
    modality,
    methodId,
    modelId,
    name,
    limit,
    further,
    lengths,
    heldOut,
    kept,
    evaluations,
    values,
    search,
    count,
    ofModality,
    method,
    continued,
    model,
    preset,
    groups,
    parsed,
    request,
    like,
  };
}

const continues = (method, model) =>
  method &&
  model.modality === method.modality &&
  (!method.architectures.length || method.architectures.includes(model.architecture));
