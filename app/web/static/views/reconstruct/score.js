// The quality of the prediction, compared with two baselines without a model.
import { html } from "../../core/html.js";

const db = (value) => `${value.toFixed(1)} dB`;

export function Score({ answer }) {
  const { mean, interpolation } = answer.baselines;
  const rows = [
    { label: "Model", value: answer.psnr, own: true },
    { label: "Smooth interpolation", value: interpolation },
    { label: "Mean of what is visible", value: mean },
  ];
  const most = Math.max(...rows.map((row) => row.value), 1);
  const ahead = answer.psnr - Math.max(mean, interpolation);
  return html`<section class="panel score" aria-label="How good the guess is">
    <div class="row between"><h2>${db(answer.psnr)} PSNR</h2><span class="muted small">
      over the masked patches; higher is better</span></div>
    <dl class="bars">${rows.map(
      ({ label, value, own }) => html`
      <dt>${label}</dt><dd>
        <i class=${own ? "own" : ""} style=${{ width: `${Math.max(value / most, 0.01) * 100}%` }}></i><span>
          ${db(value)}</span></dd>`,
    )}</dl>
    <p class="small muted">${verdict(ahead)}</p>
  </section>`;
}

function verdict(ahead) {
  if (ahead >= 0.05) return `The model is ${db(ahead)} ahead of the better of the two guesses that need no model.`;
  if (ahead > -0.05) return "The model is as good as the better of the two guesses that need no model.";
  return `A guess that needs no model is ${db(-ahead)} better: of this item, the model has understood little.`;
}
