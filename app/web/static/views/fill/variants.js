// The scores of all variants of a sequence as a grid of letters and positions. Pure functions.

const AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY";
const DNA = "ACGT";
const RNA = "ACGU";
const RARE = "BJOUXZ*-."; // letters of proteins beside the 20 amino acids
const SHOWN = 0.98; // share of the scores that the scale spans; the rest has its outermost colours

const isOf = (letters, alphabet) => [...letters].every((letter) => alphabet.includes(letter));

/** Whether each token of a division is one letter; masks that were typed do not count. */
export const isPerLetter = (words) => words.every((word) => word.literal || [...word.text.trim()].length === 1);

/** The letters that could replace those of a text; "" for all of the model's vocabulary. */
export function alphabetOf(text) {
  const letters = new Set(text.replace(/\s/g, ""));
  if (isOf(letters, `${DNA}N`)) return DNA;
  if (isOf(letters, `${RNA}N`)) return RNA;
  return isOf(letters, AMINO_ACIDS + RARE) ? AMINO_ACIDS : "";
}

/**
 * The answer to `variants: "all"` as a grid.
 * @param {string} text
 * @param {{variant: string, score: number}[]} variants
 * @returns {{wildType: string[], letters: string[], scores: (number | null)[][], limit: number, offset: number}}
 * letters: of the rows; scores: [letter][position], null for the wild type's own letter; limit: where the scale ends.
 */
export function gridOf(text, variants, offset) {
  const wildType = [...text.replace(/\s/g, "")];
  const parts = variants.map(({ variant, score }) => {
    const characters = [...variant];
    return { place: Number(characters.slice(1, -1).join("")) - offset, letter: characters.at(-1), score };
  });
  const letters = [...new Set(parts.map((part) => part.letter))].sort();
  const row = new Map(letters.map((letter, at) => [letter, at]));
  const scores = letters.map(() => wildType.map(() => null));
  for (const { place, letter, score } of parts) scores[row.get(letter)][place] = score;
  return { wildType, letters, scores, limit: limitOf(parts.map((part) => Math.abs(part.score))), offset };
}

/** The size that a share of `SHOWN` of all sizes does not exceed; 1 where all are 0. */
function limitOf(sizes) {
  const sorted = Float64Array.from(sizes).sort();
  return sorted[Math.max(Math.ceil(sorted.length * SHOWN) - 1, 0)] || 1;
}

/** Where a score lies on a scale that is centred at 0: from −1, the least, to 1. */
export const placeOn = (limit, score) => Math.max(-1, Math.min(1, score / limit));

/** A colour between two, "#rrggbb" each. share: of the second. */
export function mix(first, second, share) {
  const channel = (color, at) => Number.parseInt(color.slice(1 + 2 * at, 3 + 2 * at), 16);
  const mixed = [0, 1, 2].map((at) => Math.round(channel(first, at) * (1 - share) + channel(second, at) * share));
  return `#${mixed.map((each) => each.toString(16).padStart(2, "0")).join("")}`;
}

/** The name of a cell, such as H24C. */
export const nameOf = (grid, { row, place }) => `${grid.wildType[place]}${place + grid.offset}${grid.letters[row]}`;

/** The cell that an arrow key moves to. */
export function step(grid, cell, key) {
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key] ?? [0, 0];
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  return {
    row: within(cell.row + down, grid.letters.length),
    place: within(cell.place + right, grid.wildType.length),
  };
}

export function csvOf(grid) {
  const quoted = (value) => (/[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = grid.wildType.flatMap((old, place) =>
    grid.letters.flatMap((letter, row) =>
      grid.scores[row][place] === null
        ? []
        : [[nameOf(grid, { row, place }), place + grid.offset, old, letter, grid.scores[row][place]]],
    ),
  );
  return [["variant", "position", "wild_type", "letter", "score"], ...lines]
    .map((line) => `${line.map((value) => quoted(String(value))).join(",")}\n`)
    .join("");
}
