// The actions that a job's state allows.
import { change } from "../../core/api.js";
import { html, useSignal } from "../../core/html.js";
import { refreshModels } from "../../core/models.js";
import { link, navigate } from "../../core/router.js";
import { Button, Select, TextField } from "../../ui/controls.js";
import { confirm, Dialog } from "../../ui/dialog.js";
import { toast, toastError } from "../../ui/toast.js";
import { can } from "./allowed.js";
import { tryView } from "./states.js";
import { JOBS } from "./watch.js";

/** put(job): the job as the server has answered. modality: of its method, where it is known. */
export function Actions({ job, modality, put }) {
  const busy = useSignal(null);
  const dialog = useSignal(null);
  const act = async (action, body) => {
    busy.value = action;
    dialog.value = null;
    try {
      put(await change("POST", `${JOBS}/${job.id}/${action}`, body ?? {}));
    } catch (failed) {
      toastError(failed);
    }
    busy.value = null;
  };
  const remove = async () => {
    const lost = "its record, events, log, pictures and checkpoints go for good. Models that it has published stay.";
    const text = `${job.name}: ${lost}`;
    if (!(await confirm({ title: "Delete this job?", text, action: "Delete" }))) return;
    try {
      await change("DELETE", `${JOBS}/${job.id}`);
      toast("The job is deleted");
      navigate("jobs");
    } catch (failed) {
      toastError(failed);
    }
  };
  const button = (action, label, icon, onClick = () => void act(action)) =>
    can[action](job) && html`<${Button} icon=${icon} busy=${busy.value === action} onClick=${onClick}>${label}<//>`;
  const retry = () => (job.error?.code === "deadline_exceeded" ? (dialog.value = "retry") : void act("retry"));
  return html`<div class="row actions">
    ${
      job.fine_tuned_model &&
      modality &&
      html`
      <a class="button primary" href=${link(tryView(modality), [], { model: job.fine_tuned_model })}
        onClick=${() => void refreshModels()}>Try it</a>`
    }
    ${button("resume", job.status === "paused" ? "Resume" : "Do not pause", "play")}
    ${button("pause", "Pause", "pause")}
    ${
      can.moveToFront(job) &&
      html`<${Button} busy=${busy.value === "priority"} onClick=${() => act("priority", { position: 0 })}>
      Next in the queue<//>`
    }
    ${button("retry", "Retry", "refresh", retry)}
    ${button("extend", "Train longer", "plus", () => (dialog.value = "extend"))}
    ${button("cancel", "Cancel", "close", () => (dialog.value = "cancel"))}
    <a class="button" href=${link("jobs", ["new"], { like: job.id })}>New like this</a>
    ${
      can.delete(job) &&
      html`
      <${Button} kind="quiet" icon="trash" aria-label="Delete this job" title="Delete this job" onClick=${remove} />`
    }
    ${
      dialog.value === "cancel" &&
      html`
      <${CancelDialog} job=${job} act=${act} onClose=${() => (dialog.value = null)} />`
    }
    ${
      dialog.value === "extend" &&
      html`
      <${ExtendDialog} job=${job} act=${act} onClose=${() => (dialog.value = null)} />`
    }
    ${dialog.value === "retry" && html`<${RetryDialog} act=${act} onClose=${() => (dialog.value = null)} />`}
  </div>`;
}

function CancelDialog({ job, act, onClose }) {
  const publishable = job.progress.step ? " What it has learnt until then can be published now." : "";
  return html`<${Dialog} title="Cancel this job?" onClose=${onClose}>
    <p>
      It stops within two steps and keeps its last checkpoint, from which it can be retried.${publishable}</p>
    <div class="row end">
      <${Button} onClick=${onClose}>Keep it running<//>
      ${
        job.progress.step > 0 &&
        html`<${Button} onClick=${() => act("cancel", { publish: true })}>
        Cancel and publish<//>`
      }
      <${Button} kind="danger" onClick=${() => act("cancel")}>Cancel the job<//>
    </div><//>`;
}

const LIMITS = [
  { value: "max_steps", label: "steps in all", of: (job) => job.progress.step * 2 },
  { value: "epochs", label: "epochs in all", of: (job) => Math.max(1, Math.ceil(job.progress.epoch * 2)) },
  { value: "max_minutes", label: "minutes in all", of: () => 30 },
];

const EXTENDED = "Goes on where it ended, and publishes the next version. The limit is that of the whole job:";

function ExtendDialog({ job, act, onClose }) {
  const unit = useSignal(LIMITS[0].value);
  const amount = useSignal(String(LIMITS[0].of(job) || 100));
  const valid = Number(amount.value) > 0;
  const submit = (event) => {
    event.preventDefault();
    if (valid) void act("extend", { [unit.value]: Number(amount.value) });
  };
  return html`<${Dialog} title="Train longer" onClose=${onClose}>
    <form onSubmit=${submit}>
      <p>
        ${EXTENDED} it has done ${job.progress.step} steps.</p>
      <div class="columns">
        <${TextField} label="Up to" type="number" min="0" step="any" value=${amount.value}
          onInput=${(next) => (amount.value = next)} />
        <${Select} label="Unit" value=${unit.value} options=${LIMITS}
          onChange=${(next) => (unit.value = next)} />
      </div>
      <div class="row end"><${Button} onClick=${onClose}>Not now<//>
        <${Button} kind="primary" type="submit" disabled=${!valid}>Train longer<//></div>
    </form><//>`;
}

function RetryDialog({ act, onClose }) {
  const minutes = useSignal("60");
  const submit = (event) => {
    event.preventDefault();
    void act("retry", { max_wall_minutes: Number(minutes.value) });
  };
  return html`<${Dialog} title="Retry with more time" onClose=${onClose}>
    <form onSubmit=${submit}>
      <${TextField} label="Minutes from now on, queue included" type="number" min="1" step="any" value=${minutes.value}
        onInput=${(next) => (minutes.value = next)} />
      <div class="row end"><${Button} onClick=${onClose}>Not now<//>
        <${Button} kind="primary" type="submit" disabled=${!(Number(minutes.value) > 0)}>Retry<//></div>
    </form><//>`;
}
