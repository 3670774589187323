// Tables that users paste or drop: lines of text, CSV and TSV. Pure functions.

export const MOST_ROWS = 5000;

/**
 * A table of a file or of pasted lines: {columns: [name], rows: [[cell]], left: rows beyond MOST_ROWS}.
 * Files that end in .csv or .tsv have a line of column names; every other text is one item a line.
 */
export function readTable(text, name = "") {
  const separator = { csv: ",", tsv: "\t" }[/\.(csv|tsv)$/i.exec(name)?.[1].toLowerCase()];
  const body = text.replace(/^\uFEFF/, "");
  const all = separator ? parse(body, separator) : body.split(/\r?\n/).map((line) => [line.trim()]);
  const filled = all.filter((row) => row.some((cell) => cell.trim()));
  const columns = separator ? (filled.shift() ?? []).map((cell, at) => cell.trim() || `column ${at + 1}`) : ["text"];
  const rows = filled.slice(0, MOST_ROWS).map((row) => columns.map((_, at) => row[at] ?? ""));
  return { columns, rows, left: Math.max(filled.length - MOST_ROWS, 0) };
}

/** Cells after RFC 4180: quoted ones may contain separators, doubled quotes and line breaks. */
function parse(text, separator) {
  const rows = [[]];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (letter === '"' && cell === "") quoted = true;
    else if (letter === separator) {
      rows.at(-1).push(cell);
      cell = "";
    } else if (letter === "\n") {
      rows.at(-1).push(cell.replace(/\r$/, ""));
      rows.push([]);
      cell = "";
    } else cell += letter;
  }
  rows.at(-1).push(cell.replace(/\r$/, ""));
  return rows;
}

/** The column with the longest cells on average: where the texts are, most likely. */
export function guessTextColumn({ columns, rows }) {
  const lengths = columns.map((_, at) => rows.slice(0, 200).reduce((sum, row) => sum + row[at].length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

/** The column of few different values, each of several rows; -1 if there is none. */
export function guessLabelColumn({ columns, rows }, textColumn) {
  const counts = columns.map((_, at) => new Set(rows.map((row) => row[at])).size);
  const fit = counts.map((count, at) => at !== textColumn && count > 1 && count <= Math.max(2, rows.length / 2));
  return counts.reduce((best, count, at) => (fit[at] && (best < 0 || count < counts[best]) ? at : best), -1);
}

/** The commonest labels, at most `most`: [{label, count}]. All others count together as the last, with label null. */
export function countLabels(labels, most) {
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const sorted = [...counts].map(([label, count]) => ({ label, count })).sort((a, b) => b.count - a.count);
  const rest = sorted.slice(most).reduce((sum, each) => sum + each.count, 0);
  return rest ? [...sorted.slice(0, most), { label: null, count: rest }] : sorted;
}

const COLOURED = 5; // labels with a colour of their own

/** The legend of the label of every point: {labels, legend: [{label, count}], colourOf(label): index or -1}. */
export function colourLabels(labels) {
  const legend = countLabels(labels, COLOURED);
  const order = new Map(legend.filter((each) => each.label !== null).map((each, at) => [each.label, at]));
  return { labels, legend, colourOf: (label) => order.get(label) ?? -1 };
}
