// Parent → job → this model → models trained from it.
import { get } from "../../core/api.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { models } from "../../core/models.js";
import { link } from "../../core/router.js";
import { Icon } from "../../ui/icons.js";
import { Waiting } from "../../ui/status.js";
import { JOBS } from "../jobs/watch.js";
import { allVersions, idOf, relatives } from "./catalogue.js";

export function Lineage({ model }) {
  const all = useSignal(null);
  useEffect(() => {
    if (!models.value) return; // the list is on its way; without it every relative would look deleted
    const controller = new AbortController();
    allVersions(controller.signal).then(
      (found) => (all.value = found),
      () => {},
    );
    return () => controller.abort();
  }, [idOf(model), models.value]);
  if (!all.value) return html`<${Waiting} />`;
  const { before, after } = relatives(model, all.value);
  return html`<ol class="lineage">
    <li><h3>Made from</h3>
      ${
        before.length
          ? before.map((id) => html`<${Relative} id=${id} known=${all.value[id]} />`)
          : html`
        <p class="muted small">nothing: it was trained or imported as it is</p>`
      }</li>
    <li class="lineage-arrow"><${Icon} name="down" /></li>
    <li><h3>By</h3>
      ${
        model.job_id ? html`<${Job} id=${model.job_id} />` : html`<p class="muted small">no job of this server</p>`
      }</li>
    <li class="lineage-arrow"><${Icon} name="down" /></li>
    <li><h3>This model</h3><span class="relative own">${idOf(model)}</span></li>
    <li class="lineage-arrow"><${Icon} name="down" /></li>
    <li><h3>Made from it</h3>
      ${
        after.length
          ? after.map((id) => html`<${Relative} id=${id} known=${all.value[id]} />`)
          : html`
        <p class="muted small">nothing yet</p>`
      }</li>
  </ol>`;
}

// A model outlives its job and may come from another server.
/** The job that trained a model; a link if this server has the job. */
function Job({ id }) {
  const known = useSignal(false);
  useEffect(() => {
    const controller = new AbortController();
    known.value = false;
    get(`${JOBS}/${encodeURIComponent(id)}`, { signal: controller.signal }).then(
      () => (known.value = true),
      () => {},
    );
    return () => controller.abort();
  }, [id]);
  if (!known.value) {
    return html`<span class="relative gone">${id}<span class="small muted">job, not on this server</span></span>`;
  }
  return html`<a class="relative" href=${link("jobs", [id])}>${id}<span class="small muted">job</span></a>`;
}

function Relative({ id, known }) {
  if (!known) return html`<span class="relative gone">${id}<span class="small muted">not in the store</span></span>`;
  return html`<a class="relative" href=${link("models", [id])}>${id}<span class="small muted">
    ${known.modality}</span></a>`;
}
