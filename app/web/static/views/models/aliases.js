// The versions of a name, and the aliases that point at them.
import { change } from "../../core/api.js";
import { html, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link } from "../../core/router.js";
import { Button, Select, TextField } from "../../ui/controls.js";
import { toast, toastError } from "../../ui/toast.js";
import { pathOf } from "./catalogue.js";

export function Aliases({ model }) {
  const name = useSignal("");
  const version = useSignal(String(model.version));
  const act = async (run, done) => {
    try {
      await run();
      toast(done);
      await refreshModels();
    } catch (error) {
      toastError(error);
    }
  };
  const path = (alias) => `${pathOf(model.name)}/aliases/${encodeURIComponent(alias)}`;
  const add = (event) => {
    event.preventDefault();
    const alias = name.value.trim();
    if (!alias) return;
    name.value = "";
    void act(
      () => change("PUT", path(alias), { version: Number(version.value) }),
      `${model.name}:${alias} is version ${version.value}`,
    );
  };
  const of = (each) =>
    Object.entries(model.aliases)
      .filter(([, target]) => target === each)
      .map(([alias]) => alias);
  return html`<div class="stack">
    <div class="panel table-scroll" tabindex="0" role="region" aria-label="Versions"><table class="versions">
      <thead><tr><th scope="col">Version</th><th scope="col">Aliases</th></tr></thead>
      <tbody>${model.versions.map(
        (each) => html`<tr>
        <td>
          <a href=${link("models", [`${model.name}@${each}`])}
            aria-current=${each === model.version ? "true" : undefined}>${model.name}@${each}</a>
              ${each === model.version ? " (shown)" : ""}</td>
        <td><span class="row">${of(each).map(
          (alias) => html`<span class="badge alias">${alias}
          <${Button} kind="quiet" icon="close" aria-label=${`Remove the alias ${alias}`}
            onClick=${() => act(() => change("DELETE", path(alias)), `The alias ${alias} is gone`)} /></span>`,
        )}${of(each).length ? "" : html`<span class="muted">none</span>`}</span></td>
      </tr>`,
      )}</tbody></table></div>
    <form class="row alias-form" onSubmit=${add}>
      <${TextField} label="New or moved alias" value=${name.value} placeholder="production"
        onInput=${(value) => (name.value = value)} autocomplete="off" />
      <${Select} label="Version" value=${version.value} options=${model.versions.map(String)}
        onChange=${(value) => (version.value = value)} />
      <${Button} type="submit" disabled=${!name.value.trim()}>Set alias<//>
    </form>
    <p class="small muted">Clients that ask for <code>
      ${model.name}:alias</code> get its version from their next request on.</p>
  </div>`;
}
