// The metrics of a run, drawn over its steps.
import { compact, number } from "../../core/format.js";
import { html, useMemo } from "../../core/html.js";
import { Chart } from "../../ui/chart.js";

const precise = (value) => (Math.abs(value) >= 100 ? compact(value) : String(Number(value.toPrecision(3))));

// Each chart shows those of its metrics that there are; one without any is left out.
const CHARTS = [
  {
    title: "Loss",
    label: "loss",
    metrics: [
      ["train_loss", "Training", "--masked"],
      ["eval_loss", "Held out", "--series-1"],
      ["eval_bigram_loss", "Bigram", "--series-2", [6, 4]],
      ["eval_unigram_loss", "Unigram", "--series-6", [2, 4]],
    ],
  },
  {
    title: "Held-out accuracy",
    label: "accuracy",
    metrics: [
      ["eval_accuracy", "Accuracy", "--series-1"],
      ["eval_bigram_accuracy", "Bigram", "--series-2", [6, 4]],
      ["eval_unigram_accuracy", "Unigram", "--series-6", [2, 4]],
      ["eval_commonest_accuracy", "Commonest", "--series-5", [1, 3]],
    ],
    share: true,
  },
  {
    title: "Held-out bits per character",
    label: "bits",
    metrics: [
      ["eval_bits_per_character", "Model", "--series-1"],
      ["eval_bigram_bits_per_character", "Bigram", "--series-2", [6, 4]],
      ["eval_unigram_bits_per_character", "Unigram", "--series-6", [2, 4]],
    ],
  },
  {
    title: "Held-out PSNR",
    label: "dB",
    metrics: [
      ["eval_psnr", "Model", "--series-1"],
      ["eval_interpolation_psnr", "Interpolation", "--series-2", [6, 4]],
      ["eval_mean_psnr", "Mean", "--series-6", [2, 4]],
    ],
  },
  {
    title: "Learning rate",
    label: "rate",
    metrics: [["learning_rate", "Learning rate", "--series-4"]],
    scientific: true,
  },
  { title: "Speed", label: "tokens/s", metrics: [["tokens_per_second", "Tokens a second", "--series-3"]] },
];

const FORMATS = {
  share: (value) => `${number(value * 100)}%`,
  scientific: (value) => (value === 0 ? "0" : value.toExponential(1)),
};

export function Curves({ series }) {
  const charts = CHARTS.map((chart) => ({
    ...chart,
    metrics: chart.metrics.filter(([key]) => series.has(key)),
  })).filter((chart) => chart.metrics.length);
  if (!charts.length)
    return html`<p class="muted">There is nothing to draw yet: the first figures come with the first steps.</p>`;
  return html`<div class="curves">
    ${charts.map((chart) => html`<${Curve} key=${chart.title} chart=${chart} series=${series} />`)}</div>`;
}

function Curve({ chart, series }) {
  const shown = chart.metrics.map(([key]) => series.get(key));
  const lines = useMemo(
    () => chart.metrics.map(([key, label, color, dash]) => ({ label, color, dash, points: series.get(key) })),
    shown, // the other metrics move too, and are none of this chart's business
  );
  const format = chart.share ? FORMATS.share : chart.scientific ? FORMATS.scientific : precise;
  const last = shown.map((points, at) => `${chart.metrics[at][1]} ${format(points.at(-1).y)}`).join(", ");
  return html`<section class="curve"><div class="row between"><h2>${chart.title}</h2></div>
    <${Chart} label=${`${chart.title} over steps. Now: ${last}`} series=${lines} height=${200} xLabel="step"
      yLabel=${chart.label} format=${format} />
  </section>`;
}
