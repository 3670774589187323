// One model: its facts, actions, card, metrics and lineage.
import { change, get, isAbort, send } from "../../core/api.js";
import { withOwnAddress } from "../../core/connection.js";
import { bytes, compact, date, number } from "../../core/format.js";
import { html, useEffect, useSignal } from "../../core/html.js";
import { models, refreshModels } from "../../core/models.js";
import { link, navigate, route, setParams } from "../../core/router.js";
import { Button } from "../../ui/controls.js";
import { confirm } from "../../ui/dialog.js";
import { Markdown } from "../../ui/markdown.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { Tabs } from "../../ui/tabs.js";
import { toast, toastError } from "../../ui/toast.js";
import { Aliases } from "./aliases.js";
import { ArchiveLink } from "./archive.js";
import { Badges } from "./badges.js";
import { idOf, pathOf } from "./catalogue.js";
import { Evaluations } from "./evaluations.js";
import { Lineage } from "./lineage.js";

const TABS = [
  { id: "card", label: "Card" },
  { id: "metrics", label: "Metrics" },
  { id: "evaluations", label: "Evaluations" },
  { id: "lineage", label: "Lineage" },
  { id: "versions", label: "Versions" },
];

export function ModelPage({ id }) {
  const model = useSignal(null);
  const error = useSignal(null);
  const read = async (signal) => {
    try {
      model.value = await get(pathOf(id), { signal });
      error.value = null;
    } catch (failed) {
      if (!isAbort(failed)) error.value = failed;
    }
  };
  useEffect(() => {
    const controller = new AbortController();
    void read(controller.signal);
    return () => controller.abort();
  }, [id, models.value]);
  const back = html`<nav aria-label="Where this is"><a class="small back" href=${link("models")}>All models</a></nav>`;
  if (error.value) return html`${back}<h1>${id}</h1><${ErrorNote} error=${error.value} retry=${() => read()} />`;
  if (!model.value) return html`${back}<h1>${id}</h1><${Waiting} />`;
  const tab = TABS.find((each) => each.id === route.value.params.tab)?.id ?? "card";
  return html`${back}
    <${Head} model=${model.value} />
    <${Facts} model=${model.value} />
    <${Tabs} label="About this model" tabs=${TABS} chosen=${tab}
      onChoose=${(next) => setParams({ tab: next === "card" ? undefined : next })}>
      ${tab === "card" && html`<${Card} model=${model.value} />`}
      ${tab === "metrics" && html`<${Metrics} model=${model.value} />`}
      ${tab === "evaluations" && html`<${Evaluations} id=${idOf(model.value)} />`}
      ${tab === "lineage" && html`<${Lineage} model=${model.value} />`}
      ${tab === "versions" && html`<${Aliases} model=${model.value} />`}
    <//>`;
}

function Head({ model }) {
  const doing = useSignal(null);
  const act = async (name, run, done) => {
    doing.value = name;
    try {
      await run();
      toast(done);
      await refreshModels();
    } catch (failed) {
      toastError(failed);
    } finally {
      doing.value = null;
    }
  };
  const id = idOf(model);
  const load = () => act("load", () => change("POST", `${pathOf(id)}/load`), `${id} is in memory`);
  const unload = () => act("unload", () => change("POST", `${pathOf(id)}/unload`), `${id} has left memory`);
  const remove = async () => {
    const what = `Version ${model.version} of ${model.name}`;
    const text = `${what} and its files go for good. Models that were made from it stay.`;
    if (!(await confirm({ title: `Delete ${id}?`, text, action: "Delete" }))) return;
    const deleted = async () => {
      await change("DELETE", pathOf(id));
      navigate("models"); // before this page asks for what is gone
    };
    await act("delete", deleted, `${id} is deleted`);
  };
  return html`<div class="view-head">
    <div><div class="row"><h1>${model.name}</h1><${Badges} model=${model} /></div><p class="lead">
      ${model.description}</p></div>
    <div class="row">
      <${VersionPicker} model=${model} />
      <${TryIt} model=${model} />
      <${ArchiveLink} id=${id} />
      ${
        model.loaded
          ? html`<${Button} busy=${doing.value === "unload"} onClick=${unload}>Unload<//>`
          : html`<${Button} busy=${doing.value === "load"} onClick=${load}>Load<//>`
      }
      <${Button} kind="danger" icon="trash" busy=${doing.value === "delete"} onClick=${remove}>Delete<//>
    </div></div>`;
}

function VersionPicker({ model }) {
  if (model.versions.length < 2) return null;
  const aliasesOf = (version) => Object.keys(model.aliases).filter((alias) => model.aliases[alias] === version);
  const options = model.versions.map((version) => ({
    value: String(version),
    label: [`version ${version}`, ...aliasesOf(version)].join(", "),
  }));
  return html`<label class="version-picker"><span class="visually-hidden">Shown version</span>
    <select value=${String(model.version)}
      onChange=${(event) => navigate("models", [`${model.name}@${event.target.value}`], route.peek().params)}>
      ${options.map(
        ({ value, label }) =>
          html`<option value=${value} selected=${value === String(model.version)}>${label}</option>`,
      )}</select></label>`;
}

function TryIt({ model }) {
  const [view] = [
    ["classify", "classify"],
    ["fill-mask", "fill"],
    ["reconstruct", "reconstruct"],
    ["embeddings", "embed"],
  ]
    .filter(([task]) => model.tasks.includes(task))
    .map(([, each]) => each);
  return view && html`<a class="button primary" href=${link(view, [], { model: model.id })}>Try it</a>`;
}

function Facts({ model }) {
  const facts = [
    ["Modality", model.modality],
    ["Architecture", model.architecture],
    ["Parameters", compact(model.parameters)],
    ["Tasks", model.tasks.join(", ")],
    ["Labels", model.classifier?.labels.slice(0, 10).join(", ")],
    ["Memory", model.loaded ? bytes(model.memory_bytes) : "not loaded"],
    ["Longest input", model.max_length ? `${number(model.max_length)} tokens` : null],
    ["Version", `${model.version}`],
    ["Created", date(model.created)],
    ["License", model.license],
  ];
  return html`<dl class="panel model-sheet">
    ${facts.filter(([, value]) => value).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>`;
}

function Card({ model }) {
  const text = useSignal(null);
  const error = useSignal(null);
  const id = idOf(model);
  useEffect(() => {
    const controller = new AbortController();
    send(`${pathOf(id)}/card`, { signal: controller.signal })
      .then((response) => response.text())
      .then(
        (card) => (text.value = card),
        (failed) => isAbort(failed) || (error.value = failed),
      );
    return () => controller.abort();
  }, [id]);
  if (error.value)
    return error.value.status === 404
      ? html`<p class="muted">This model has no card.</p>`
      : html`<${ErrorNote} error=${error.value} />`;
  if (text.value === null) return html`<${Waiting} />`;
  return text.value.trim()
    ? html`<div class="panel"><${Markdown} text=${withOwnAddress(text.value)} /></div>`
    : html`<p class="muted">This model has no card.</p>`;
}

function Metrics({ model }) {
  const metrics = Object.entries(model.metrics);
  if (!metrics.length) return html`<p class="muted">No metrics came with this model.</p>`;
  return html`<div class="panel table-scroll" tabindex="0" role="region" aria-label="Metrics"><table class="metrics">
    <thead><tr><th scope="col">Metric, on held-out data</th><th scope="col" class="number">Value</th></tr></thead>
    <tbody>
      ${metrics.map(
        ([name, value]) => html`<tr><th scope="row">${name.replace(/^eval_/, "").replaceAll("_", " ")}</th>
        <td class="number">${Number(value.toPrecision(4))}</td></tr>`,
      )}</tbody>
  </table></div>`;
}
