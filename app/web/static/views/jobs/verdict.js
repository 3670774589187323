// Whether a model learnt, and what to do next.
import { html } from "../../core/html.js";
import { Note } from "../../ui/status.js";

export function Verdict({ verdict }) {
  const warns = verdict.learnt === false || verdict.overfitted;
  return html`<${Note} kind=${warns ? "warning" : "plain"}><strong>${verdict.summary}</strong> ${verdict.advice}<//>`;
}
