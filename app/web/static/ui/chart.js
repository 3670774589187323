// Line charts by uPlot, in the page's colours, as wide as there is room.
import { html, useEffect, useLayoutEffect, useRef } from "../core/html.js";
import { color, palette } from "../core/theme.js";
import uPlot from "../vendor/uplot.js";

/** Colours of series, in order; the first is the accent. */
export const SERIES_COLORS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

/**
 * series: [{label, points: [{x, y}], color?: a name of tokens.css, dash?: [on, off]}]
 * label says to those who cannot see it what the chart shows. xLabel, yLabel, log, logX: of the axes.
 */
export function Chart({
  label,
  series,
  height = 220,
  xLabel,
  yLabel,
  log = false,
  logX = false,
  format = (value) => String(value),
  formatX = null,
}) {
  const place = useRef();
  const plot = useRef(null);
  const data = align(series);
  const shape = JSON.stringify([
    series.map((each) => [each.label, each.color, each.dash]),
    palette.value,
    height,
    xLabel,
    yLabel,
    log,
    logX,
  ]);

  // Before anything is drawn: an effect that came later could find the place gone.
  useLayoutEffect(() => {
    const width = () => Math.max(place.current.clientWidth, 200);
    plot.current = new uPlot(
      options({ series, width: width(), height, xLabel, yLabel, log, logX, format, formatX }),
      data,
      place.current,
    );
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: width(), height }));
    observer.observe(place.current);
    return () => {
      observer.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data), [series]);

  return html`<figure class="chart" role="img" aria-label=${label}><div ref=${place}></div></figure>`;
}

/** Series with their own x → uPlot's columns over the union of all x. */
function align(series) {
  if (!series.length) return [[]];
  const xs = [...new Set(series.flatMap((each) => each.points.map((point) => point.x)))].sort((a, b) => a - b);
  const columns = series.map((each) => {
    const values = new Map(each.points.map((point) => [point.x, point.y]));
    return xs.map((x) => values.get(x) ?? null);
  });
  return [xs, ...columns];
}

function options({ series, width, height, xLabel, yLabel, log, logX, format, formatX }) {
  const text = color("--text-muted");
  const axis = {
    stroke: text,
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), width: 1 },
  };
  return {
    width,
    height,
    scales: { x: { time: false, ...(logX ? { distr: 3 } : {}) }, y: log ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        label: xLabel,
        labelSize: 20,
        size: 32,
        ...(formatX ? { values: (_, values) => values.map((value) => (value === null ? "" : formatX(value))) } : {}),
      },
      {
        ...axis,
        label: yLabel,
        labelSize: 20,
        size: 56,
        values: (_, values) => values.map((value) => (value === null ? "" : format(value))),
      },
    ],
    series: [
      { label: xLabel ?? "x", ...(formatX ? { value: (_, value) => (value === null ? "–" : formatX(value)) } : {}) },
      ...series.map((each, index) => ({
        label: each.label,
        stroke: color(each.color ?? SERIES_COLORS[index % SERIES_COLORS.length]),
        width: 2,
        dash: each.dash,
        spanGaps: true,
        points: { show: each.points.length < 2 },
        value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
      })),
    ],
    legend: { live: true },
    hooks: {
      setData: [restLegend],
      setCursor: [(plot) => plot.cursor.idx === null && restLegend(plot)],
      ready: [restLegend],
    },
    cursor: { points: { size: 7 } },
  };
}

/** Without a pointer over the chart, the legend tells the newest value of each series. */
function restLegend(plot) {
  const idxs = plot.data.map((column) => column.findLastIndex((value) => value !== null));
  if (idxs[0] >= 0 && plot.legend) plot.setLegend({ idxs });
}
