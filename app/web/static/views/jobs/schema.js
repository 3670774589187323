// Conversion of a JSON Schema property to a form field.

/**
 * {name, label, hint, otherwise, group, kind, options, min, max, open, integer, default}
 * kind: "choice", "flag", "number" or "text".
 */
export function describe(name, property) {
  const variants = (property.anyOf ?? [property]).filter((each) => each.type !== "null");
  const [type] = variants;
  const [hint, otherwise] = split(property.description ?? "");
  const label = name.replaceAll("_", " ");
  return {
    name,
    label: label[0].toUpperCase() + label.slice(1),
    hint,
    otherwise: property.default === null ? otherwise : null, // what is chosen instead of null, in words
    group: property.group,
    default: property.default,
    options: type.enum ? variants.flatMap((each) => each.enum ?? []) : null,
    kind: type.enum
      ? "choice"
      : type.type === "boolean"
        ? "flag"
        : ["integer", "number"].includes(type.type)
          ? "number"
          : "text",
    integer: type.type === "integer",
    min: type.minimum ?? type.exclusiveMinimum ?? null,
    max: type.maximum ?? type.exclusiveMaximum ?? null,
    open: [type.exclusiveMinimum !== undefined, type.exclusiveMaximum !== undefined], // whether the ends are left out
  };
}

/** The text behind the last semicolon of a description says what null means. */
function split(description) {
  const at = description.lastIndexOf(";");
  return at < 0 ? [description, null] : [description.slice(0, at), description.slice(at + 1).trim()];
}

/** Parses the typed text to {value} or {error}. The value is undefined if the field is empty. */
export function parse(field, text) {
  if (text === undefined || text === "") return { value: undefined };
  if (field.kind === "flag") return { value: text === "true" };
  if (field.kind === "choice") return { value: field.options.find((option) => String(option) === text) };
  if (field.kind === "text") return { value: text };
  const value = Number(text);
  if (!Number.isFinite(value) || (field.integer && !Number.isInteger(value)))
    return { error: field.integer ? "A whole number" : "A number" };
  const {
    min,
    max,
    open: [above, below],
  } = field;
  if (min !== null && (above ? value <= min : value < min))
    return { error: above ? `More than ${min}` : `At least ${min}` };
  if (max !== null && (below ? value >= max : value > max))
    return { error: below ? `Less than ${max}` : `At most ${max}` };
  return { value };
}
