// The download of a model's files as a tar.
import { send } from "../../core/api.js";
import { address } from "../../core/connection.js";
import { download } from "../../core/download.js";
import { html, useSignal } from "../../core/html.js";
import { key } from "../../core/keys.js";
import { Button } from "../../ui/controls.js";
import { Icon } from "../../ui/icons.js";
import { toastError } from "../../ui/toast.js";
import { pathOf } from "./catalogue.js";

/** A link, which the browser can pause and resume. With a key, which a link cannot send, a button. */
export function ArchiveLink({ id }) {
  const busy = useSignal(false);
  const path = `${pathOf(id)}/archive`;
  if (key.value === null)
    return html`<a class="button" href=${address(path)} download><${Icon} name="download" />Download</a>`;
  const fetchArchive = async () => {
    busy.value = true;
    try {
      download(`${id.replaceAll(/[/@]/g, "-")}.tar`, await (await send(path)).blob());
    } catch (failed) {
      toastError(failed);
    } finally {
      busy.value = false;
    }
  };
  return html`<${Button} icon="download" busy=${busy.value} onClick=${fetchArchive}>Download<//>`;
}
