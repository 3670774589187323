// Media files as rows of the projector. Pure functions.

export const MOST_FILES = 2000;
const ANIMATIONS = ["image/gif", "image/png", "image/apng", "image/webp"]; // which models of videos read too

/** {columns, rows, left: files beyond MOST_FILES, files}: names and folders of files, the hidden ones left out. */
export function tableOfFiles(files) {
  const paths = files.map((file) => (file.webkitRelativePath || file.name).split("/"));
  const shown = files.filter((_, at) => !paths[at].some((part) => part.startsWith(".")));
  const kept = shown.slice(0, MOST_FILES);
  const rows = kept.map((file) => [file.name, (file.webkitRelativePath || "").split("/").at(-2) ?? ""]);
  return { columns: ["file", "folder"], rows, left: shown.length - kept.length, files: kept };
}

/**
 * The files of a kind ("image", "audio" or "video"), by the types that the browser guesses from their names. If it
 * guesses none of the kind, those without a type, about which the server decides.
 */
export function filesOfKind(files, kind) {
  const fits = ({ type }) => type.startsWith(`${kind}/`) || (kind === "video" && ANIMATIONS.includes(type));
  const found = files.filter(fits);
  return found.length ? found : files.filter(({ type }) => !type);
}

/** The files in order as batches: at most `most` files, and at most `bytes` unless a file alone is larger. */
export function batchFiles(files, most, bytes) {
  const batches = [];
  let size = Infinity;
  for (const file of files) {
    size += file.size;
    if (size > bytes || batches.at(-1)?.length === most) {
      batches.push([]);
      size = file.size;
    }
    batches.at(-1).push(file);
  }
  return batches;
}
