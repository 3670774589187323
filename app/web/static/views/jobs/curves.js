// The metrics of a run, drawn over its steps.
import { send } from "../../core/api.js";
import { download } from "../../core/download.js";
import { compact, number } from "../../core/format.js";
import { html, useMemo } from "../../core/html.js";
import { Chart } from "../../ui/chart.js";
import { Button } from "../../ui/controls.js";
import { toastError } from "../../ui/toast.js";
import { JOBS } from "./watch.js";

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
    title: "Score on labelled items",
    label: "score",
    metrics: [
      ["eval_probe", "First evaluation", "--series-1"],
      ["eval_probe_2", "Second", "--series-2"],
      ["eval_probe_3", "Third", "--series-6"],
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

/** The charts of the machine: a job on two processors reaches 200 %. */
function systemCharts(keys) {
  const gpus = keys.map((key) => /^system\/(gpu_(\d+))_memory_usage_percentage$/.exec(key)).filter(Boolean);
  return [
    {
      title: "Processors",
      label: "%",
      metrics: [
        ["system/process_cpu_utilization_percentage", "Job, of one processor", "--series-1"],
        ["system/cpu_utilization_percentage", "Machine, of all", "--series-6", [2, 4]],
      ],
    },
    {
      title: "Memory",
      label: "MB",
      metrics: [
        ["system/process_memory_usage_megabytes", "Job", "--series-1"],
        ["system/system_memory_usage_megabytes", "Machine", "--series-6", [2, 4]],
      ],
    },
    ...gpus.map(([, name, number]) => ({
      title: `GPU ${number}`,
      label: "%",
      metrics: [
        [`system/${name}_utilization_percentage`, "Busy", "--series-1"],
        [`system/${name}_memory_usage_percentage`, "Memory", "--series-2"],
      ],
    })),
  ];
}

/** test: the learning-rate test of the job, if it had one. */
export function Curves({ id, series, test }) {
  const charts = [...CHARTS, ...systemCharts([...series.keys()])]
    .map((chart) => ({
      ...chart,
      metrics: chart.metrics.filter(([key]) => series.has(key)),
    }))
    .filter((chart) => chart.metrics.length);
  if (!charts.length && !test)
    return html`<p class="muted">There is nothing to draw yet: the first figures come with the first steps.</p>`;
  return html`<div class="stack"><div class="curves">
    ${charts.map((chart) => html`<${Curve} key=${chart.title} chart=${chart} series=${series} />`)}
    ${test && html`<${RangeTest} test=${test} />`}</div>
    <div class="row"><${Button} icon="download" onClick=${() => void exportCsv(id)}>Download as CSV<//></div></div>`;
}

async function exportCsv(id) {
  try {
    const response = await send(`${JOBS}/${id}/metrics.csv`);
    download(`${id}.csv`, await response.blob());
  } catch (failed) {
    toastError(failed);
  }
}

function RangeTest({ test }) {
  const line = useMemo(
    () => [
      {
        label: "Smoothed training loss",
        color: "--series-1",
        points: test.rates.map((rate, at) => ({ x: rate, y: test.losses[at] })),
      },
    ],
    [test],
  );
  const lowest = FORMATS.scientific(test.lowest);
  return html`<section class="curve"><div class="row between"><h2>Learning-rate test</h2></div>
    <${Chart} label=${`Loss over learning rates. The lowest is at ${lowest}.`} series=${line} height=${200}
      xLabel="learning rate" yLabel="loss" logX formatX=${FORMATS.scientific} format=${precise} />
    <p class="small muted">The loss is lowest at ${lowest} and falls fastest at ${FORMATS.scientific(test.steepest)}.
      The job trains with ${FORMATS.scientific(test.suggested)}.</p>
  </section>`;
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
