// What the server understood of a job's files, shown before the job is started.
import { number, percent } from "../../core/format.js";
import { html } from "../../core/html.js";

const SHOWN_CHARACTERS = 24;
const DOCUMENTS = {
  lines: "one document a line",
  paragraphs: "one document a paragraph",
  file: "one document a file",
  rows: "one document a row",
  sequences: "one sequence a record",
};

/** previews: those in the answer of /validate. */
export function Previews({ previews }) {
  if (!previews?.length) return null;
  return html`<section class="panel stack previews"><h2>What was understood</h2>
    ${previews.map((each) => html`<${Preview} key=${`${each.use} ${each.file}`} preview=${each} />`)}</section>`;
}

function Preview({ preview }) {
  const { first_items: first, lengths, alphabet, left_out: leftOut, notes } = preview;
  const rows = [
    ["Lengths", lengths && describeLengths(lengths)],
    ["Alphabet", alphabet && html`${number(alphabet.size)} characters: ${describeCharacters(alphabet)}`],
    ["Duplicates", preview.duplicate_share ? percent(preview.duplicate_share) : null],
    ...preview.header_fields.map((each) => [
      `Header: ${each.name}`,
      `${number(each.values)} ${each.values === 1 ? "value" : "values"}: ${each.first.join(", ")}`,
    ]),
    ...leftOut.map((each) => ["Left out", `${number(each.count)} ${each.reason} (${each.example})`]),
  ].filter(([, value]) => value);
  return html`<div class="stack">
    <h3>${preview.filename}${preview.use === "validation_file" && " (held out)"}</h3>
    <p class="small">${summarize(preview)}</p>
    <ol class="preview-items">${first.map(
      (item) => html`<li>
      ${item.text !== null && html`<code>${item.text}</code>`}
      ${item.name && html`<span class="small muted">${item.name}</span>`}</li>`,
    )}</ol>
    <dl class="preview-facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    ${notes.map((note) => html`<p class="small muted">${note}</p>`)}
  </div>`;
}

/** @returns {string} such as "About 20,000 items, one document a line. Only the beginning of the file was read." */
export function summarize({ items, sampled, read_as: readAs }) {
  const kinds = Object.entries(readAs).map(([kind, count]) =>
    count > 1 ? `${DOCUMENTS[kind]} in ${number(count)} files` : DOCUMENTS[kind],
  );
  const counted = `${sampled ? "About " : ""}${number(items)} ${items === 1 ? "item" : "items"}`;
  return `${[counted, ...kinds].join(", ")}.${sampled ? " Only the beginning of the file was read." : ""}`;
}

const describeLengths = ({ unit, min, median, p95, max }) =>
  `${short(min)} to ${short(max)} ${unit}, median ${short(median)}, 95 % up to ${short(p95)}`;

const short = (length) => (Number.isInteger(length) ? number(length) : length.toFixed(2));

function describeCharacters({ characters, size }) {
  const shown = characters.slice(0, SHOWN_CHARACTERS);
  return html`${shown.map(
    ({ character, count }) => html`<code title=${`${number(count)} times`}>${visible(character)}</code> `,
  )}${size > shown.length && "…"}`;
}

/** White space and control characters by their code points. */
export function visible(character) {
  if (character === " ") return "space";
  return /[\p{C}\p{Z}]/u.test(character)
    ? `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`
    : character;
}
