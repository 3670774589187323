// Folders as .tar archives: the same files give the same bytes as `cloze files upload FOLDER`, so that the server
// keeps them once. The format is POSIX's pax, as Python's tarfile writes it.

const BLOCK = 512;
const RECORD = 20 * BLOCK;
const NAME_BYTES = 100;
const LARGEST = 8 ** 11; // bytes of a file that a header can tell
const TEXT = new TextEncoder();

/**
 * Packs the files of a chosen folder (`<input webkitdirectory>`). Hidden files are left out.
 * @returns {{file: File | null, count: number, hidden: number}} file: null if nothing is left.
 */
export function packFolder(files) {
  const [folder] = (files[0]?.webkitRelativePath ?? "").split("/");
  const entries = [...files].map((file) => ({ file, parts: file.webkitRelativePath.split("/").slice(1) }));
  const shown = entries.filter(({ parts }) => !parts.some((part) => part.startsWith("."))).sort(byPath);
  const content = shown.flatMap(({ file, parts }) => [...headers(parts.join("/"), file.size), file, pad(file.size)]);
  const size = content.reduce((sum, part) => sum + (part.size ?? part.length), 2 * BLOCK);
  const end = new Uint8Array(2 * BLOCK + ((RECORD - (size % RECORD)) % RECORD));
  return {
    file: shown.length ? new File([...content, end], `${folder || "folder"}.tar`) : null,
    count: shown.length,
    hidden: entries.length - shown.length,
  };
}

function byPath({ parts: a }, { parts: b }) {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at < 0 || b[at] === undefined ? a.length - b.length : a[at] < b[at] ? -1 : 1;
}

/** The header of a file, after one that tells what does not fit into it. */
function headers(name, size) {
  const records = [];
  if (name.length > NAME_BYTES || !isAscii(name)) records.push(record("path", name));
  if (size >= LARGEST) records.push(record("size", String(size)));
  const plain = [header(name, size < LARGEST ? size : 0, "0")];
  if (!records.length) return plain;
  const told = TEXT.encode(records.join(""));
  return [header("././@PaxHeader", told.length, "x"), told, pad(told.length), ...plain];
}

/** "LENGTH key=value\n", where the length counts itself. */
function record(key, value) {
  const rest = TEXT.encode(` ${key}=${value}\n`).length;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function header(name, size, type) {
  const block = new Uint8Array(BLOCK);
  const put = (text, at) => block.set(TEXT.encode(text), at);
  const octal = (value, digits) => `${value.toString(8).padStart(digits - 1, "0")}\0`;
  put(
    [...name]
      .map((character) => (isAscii(character) ? character : "?"))
      .join("")
      .slice(0, NAME_BYTES),
    0,
  );
  put(octal(type === "0" ? 0o644 : 0, 8), 100);
  put(octal(0, 8) + octal(0, 8), 108);
  put(octal(size, 12) + octal(0, 12), 124);
  put(" ".repeat(8), 148);
  put(type, 156);
  put("ustar\u{0}00", 257);
  put(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      7,
    )}`,
    148,
  );
  return block;
}

const pad = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

const isAscii = (text) => [...text].every((character) => character.codePointAt(0) < 128);
