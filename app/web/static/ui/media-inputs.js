// Media files of the user as the inputs of a request.
import { dataUri } from "../core/download.js";
import { bytes } from "../core/format.js";
import { html } from "../core/html.js";
import { info } from "../core/models.js";
import { Button, DropZone } from "./controls.js";
import { toast } from "./toast.js";

const KINDS = { image: "images", audio: "sounds", video: "videos" };

/**
 * A place to drop files of a kind, and the list of them.
 * files: a signal of [{name, kind, size, uri, url}]; uri is sent, url shows the file.
 */
export function MediaInputs({ kind, files }) {
  const own = files.value.filter((file) => file.kind === kind);
  const remove = (file) => {
    URL.revokeObjectURL(file.url);
    files.value = files.value.filter((each) => each !== file);
  };
  return html`
    <${DropZone} label=${`Drop ${KINDS[kind]}, or choose some`} accept=${`${kind}/*`} multiple
      onFiles=${(given) => add(given, kind, files)} />
    <ul class="files">${own.map(
      (file) => html`<li key=${file.url}>
      ${kind === "image" ? html`<img src=${file.url} alt="" />` : html`<span class="badge">${kind}</span>`}
      <span class="file-name">${file.name}</span>
      <${Button} kind="quiet" icon="close" aria-label=${`Remove ${file.name}`} onClick=${() => remove(file)} /></li>`,
    )}</ul>`;
}

async function add(given, kind, files) {
  const room = (info.value?.max_body_bytes ?? 0) * 0.7; // base64 makes a third more of it
  const taken = files.value.reduce((sum, file) => sum + file.size, 0);
  if (given.reduce((sum, file) => sum + file.size, taken) > room) {
    return toast(`Together these are larger than the ${bytes(room)} that one request may carry.`, "failed");
  }
  const read = await Promise.allSettled(
    given.map(async (file) => ({
      name: file.name,
      kind,
      size: file.size,
      uri: await dataUri(file),
      url: URL.createObjectURL(file),
    })),
  );
  const failed = given.filter((_, at) => read[at].status === "rejected");
  if (failed.length) toast(`Not a file that can be read: ${failed.map((file) => file.name).join(", ")}`, "failed");
  files.value = [...files.value, ...read.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []))];
}
