// The estimated cost of a job, before it is sent.
import { bytes, compact, duration, number, percent } from "../../core/format.js";
import { html } from "../../core/html.js";
import { Note, Waiting } from "../../ui/status.js";

const UNITS = {
  text: ["documents", "tokens"],
  image: ["pictures", "patches"],
  audio: ["sounds", "patches"],
  video: ["videos", "patches"],
};

/** validation: what latest() knows of /validate; workers: those that are alive; files: whether there are any. */
export function Estimate({ validation, modality, minutes, workers, files, ready }) {
  const found = validation.value.value?.estimate;
  const memory = Math.max(0, ...workers.map((worker) => worker.capabilities.memory_gb ?? 0)) * 1e9;
  const [documents, tokens] = UNITS[modality];
  const rows =
    found &&
    [
      [
        "Data",
        `${number(found.documents)} ${documents}, ${found.sampled ? "about " : ""}${compact(found.tokens)} ${tokens}`,
      ],
      ["Trains on", found.training_tokens === null ? null : `${compact(found.training_tokens)} ${tokens}`],
      ["Tokenizer", found.tokenizer ? tokenizer(found.tokenizer) : null],
      ["Time", time(found.seconds, minutes)],
      ["Memory", bytes(found.memory_bytes)],
      ["Disk", bytes(found.disk_bytes)],
    ].filter(([, value]) => value);
  return html`<section class="estimate stack" aria-label="Estimate">
    <h2>Estimate</h2>
    <div aria-live="polite">
      ${
        !files &&
        html`<p class="small muted">
        As soon as files are here, this says how much there is to learn from and what the job will take.</p>`
      }
      ${ready && !rows && !validation.error.value && html`<${Waiting}>Looking at the files…<//>`}
      ${
        ready &&
        validation.error.value &&
        !validation.error.value.param &&
        html`<${Note} kind="warning">
        ${validation.error.value.message}<//>`
      }
      ${
        ready &&
        rows &&
        !validation.error.value &&
        html`
        <dl class=${`estimate-rows ${validation.pending.value ? "awaiting" : ""}`}>
          ${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
      }
    </div>
    ${
      ready &&
      found?.memory_bytes &&
      memory > 0 &&
      found.memory_bytes > memory &&
      html`<${Note} kind="warning">
      This is more memory than any worker has (${bytes(memory)}). Take a smaller model or batch.<//>`
    }
    ${!workers.length && html`<${Note} kind="warning">No worker is alive now; the job would wait for one.<//>`}
  </section>`;
}

/** The kind of tokenizer, why it was chosen, and what it loses. */
function tokenizer({ type, reason, lossless, changes, unknown_share, lost }) {
  const losses = [
    !lossless && `does not restore: ${changes.join(", ")}`,
    unknown_share > 0 && `${percent(unknown_share)} unknown`,
    lost.length > 0 && `lost: ${lost.join(" ")}`,
  ].filter(Boolean);
  return [type === "base" ? reason : `${type}: ${reason}`, ...losses].join("; ");
}

function time(seconds, minutes) {
  if (seconds !== null && seconds !== undefined)
    return minutes ? `about ${duration(Math.min(seconds, minutes * 60))}` : `about ${duration(seconds)}`;
  if (minutes) return `${duration(minutes * 60)} of training`;
  return "known once a job of this kind has finished";
}
