// The checkpoints of a job. Each can be published as a model.
import { change, get, isAbort } from "../../core/api.js";
import { date, number } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { Button } from "../../ui/controls.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { toast, toastError } from "../../ui/toast.js";
import { JOBS } from "./watch.js";

/** messages: the number of the job's messages. A new checkpoint adds one. */
export function Checkpoints({ job, messages }) {
  const found = useSignal(null);
  const error = useSignal(null);
  const publishing = useSignal(null);
  const path = `${JOBS}/${job.id}/checkpoints`;
  useEffect(() => {
    const controller = new AbortController();
    get(`${path}?limit=100`, { signal: controller.signal }).then(
      (page) => ((found.value = page.data), (error.value = null)),
      (failed) => isAbort(failed) || (error.value = failed),
    );
    return () => controller.abort();
  }, [job.id, job.status, messages]);
  const publish = async (checkpoint) => {
    publishing.value = checkpoint.id;
    try {
      const { model } = await change("POST", `${path}/${checkpoint.id}/publish`, {});
      toast(`Published as ${model}`);
      void refreshModels();
    } catch (failed) {
      toastError(failed);
    }
    publishing.value = null;
  };
  if (error.value) return html`<${ErrorNote} error=${error.value} />`;
  if (!found.value) return html`<${Waiting} />`;
  if (!found.value.length) return html`<p class="muted">There is no checkpoint yet.</p>`;
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label="Checkpoints"><table><thead><tr>
    <th class="number">Step</th><th>Saved</th><th class="number">Held-out loss</th><th><span class="visually-hidden">
      Actions</span></th></tr></thead>
    <tbody>${found.value.map(
      (
        each,
      ) => html`<tr key=${each.id}><td class="number">${number(each.step_number)}</td><td>${date(each.created_at)}</td>
      <td class="number">${each.metrics.eval_loss === undefined ? "–" : each.metrics.eval_loss.toFixed(4)}</td>
      <td>
        <${Button} class="small" busy=${publishing.value === each.id} onClick=${() => publish(each)}
          aria-label=${`Publish step ${each.step_number}`}>Publish<//></td></tr>`,
    )}</tbody></table></div>`;
}
