// A sound's spectrograms, one above the other, each with what can be heard of it.
import { duration } from "../../core/format.js";
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { Button } from "../../ui/controls.js";
import { Painter } from "./painter.js";
import { isMasked, paint } from "./painting.js";
import { RangePainter } from "./range-painter.js";
import { mode, ranges } from "./state.js";

export function AudioPanels({ answer, mask, brush, stale }) {
  const size = useSignal(null); // of the spectrogram: frames, bands
  const seconds = useSignal(null);
  const [steps, bands] = mask.shape;
  const extent = size.value ? Math.min(size.value.width / (size.value.height / bands), steps) : steps;
  const timeOf = (x) => (seconds.value ? `${((x / extent) * seconds.value).toFixed(2)} seconds` : `Step ${x + 1}`);
  const painter = html`
    <${Painter} label="Mask of the sound" columns=${steps} rows=${bands} extent=${extent} brush=${brush}
    masked=${(x, y) => isMasked(x * bands + bands - 1 - y)}
    describe=${(x, y) => `${timeOf(x)}, band ${bands - y} of ${bands}`}
    onPaint=${(cells, value) =>
      paint(
        cells.map(([x, y]) => x * bands + bands - 1 - y),
        value,
      )} />`;
  const rangePainter =
    seconds.value &&
    html`
      <${RangePainter} seconds=${seconds.value} ranges=${ranges.value} onChange=${(next) => (ranges.value = next)} />`;
  return html`<div class=${`spectrograms ${stale ? "awaiting" : ""}`}>
    <${Spectrogram} title="Original" picture=${answer.media.original_spectrogram} sound=${answer.media.original}
      alt="Spectrogram of the sound" onSize=${(next) => (size.value = next)}
        onSeconds=${(next) => (seconds.value = next)} />
    <${Spectrogram} title="Masked"
      note=${mode.value === "ranges" ? "what the model hears; drag to mask a part" : "what the model hears; paint here"}
      picture=${mode.value === "ranges" ? answer.media.masked_spectrogram : answer.media.original_spectrogram} alt="">
        ${mode.value === "ranges" ? rangePainter : painter}<//>
    <${Spectrogram} title="Predicted" predicted picture=${answer.media.predicted_spectrogram}
      sound=${answer.media.predicted}
      alt="Spectrogram of the sound with the model's prediction in place of the masked parts" />
    ${seconds.value !== null && html`<${TimeAxis} seconds=${seconds.value} />`}
  </div>`;
}

function Spectrogram({ title, note, picture, sound, alt, predicted, onSize, onSeconds, children }) {
  const audio = useRef();
  const at = useSignal(null); // share of the sound that has been played, while it is
  useEffect(() => {
    if (at.value === null) return;
    let frame;
    const tick = () => {
      const { currentTime, duration: length } = audio.current;
      at.value = length ? currentTime / length : 0;
      frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(frame);
  }, [at.value === null]);
  const toggle = () => (at.value === null ? play(audio.current) : audio.current.pause());
  return html`<figure class=${`spectrogram ${predicted ? "predicted" : ""}`}>
    <figcaption><span>${title} ${note && html`<span class="muted">${note}</span>`}</span>
      ${
        sound &&
        html`
          <${Button} class="small" icon=${at.value === null ? "play" : "pause"}
            aria-label=${`${at.value === null ? "Play" : "Pause"}: ${title}`} onClick=${toggle}>
        ${at.value === null ? "Play" : "Pause"}<//>`
      }</figcaption>
    <div class="spectrogram-frame"><img src=${picture} alt=${alt} draggable="false"
        onLoad=${(e) => onSize?.({ width: e.target.naturalWidth, height: e.target.naturalHeight })} />
      ${children}
      ${at.value !== null && html`<i class="playhead" style=${{ left: `${at.value * 100}%` }}></i>`}</div>
    ${
      sound &&
      html`
        <audio ref=${audio} src=${sound} preload="metadata" onPlay=${() => (at.value = 0)}
          onPause=${() => (at.value = null)}
      onEnded=${() => (at.value = null)} onEmptied=${() => (at.value = null)}
        onLoadedMetadata=${(e) => onSeconds?.(e.target.duration)}></audio>`
    }
  </figure>`;
}

/** One sound at a time. */
function play(audio) {
  for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
  audio.currentTime = 0;
  void audio.play().catch(() => {}); // a newer answer has taken its place
}

function TimeAxis({ seconds }) {
  const ticks = 5;
  return html`<div class="time-axis" aria-hidden="true">
    ${Array.from(
      { length: ticks + 1 },
      (_, at) => html`<span>
      ${at === 0 ? "0" : duration(Number(((seconds * at) / ticks).toFixed(2)))}</span>`,
    )}
  </div>`;
}
