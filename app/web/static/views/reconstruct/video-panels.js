// Three films that play as one: original, masked and predicted. The masked one is painted on.
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { Button, Segmented } from "../../ui/controls.js";
import { Painter } from "./painter.js";
import { isMasked, paint } from "./painting.js";

const DRIFT = 0.07; // seconds that films may be apart

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function VideoPanels({ answer, mask, brush, stale }) {
  const films = [useRef(), useRef(), useRef()];
  const playing = useSignal(!still());
  const share = useSignal(0); // of the film that has been shown
  const whole = useSignal("all"); // what a stroke covers: "all" moments, or "one"
  const [moments, rows, columns] = mask.shape;
  const moment = Math.min(Math.floor(share.value * moments), moments - 1);

  useEffect(() => {
    const [leader, ...others] = films.map((film) => film.current);
    for (const film of [leader, ...others]) {
      if (playing.value)
        void film.play().catch(() => {}); // a newer answer has taken its place
      else film.pause();
    }
    if (!playing.value) return;
    let frame;
    const tick = () => {
      for (const film of others)
        if (Math.abs(film.currentTime - leader.currentTime) > DRIFT) film.currentTime = leader.currentTime;
      if (leader.duration) share.value = leader.currentTime / leader.duration;
      frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(frame);
  }, [playing.value, answer]);

  const goTo = (film, to) => {
    if (film.duration) film.currentTime = Math.min(to, 0.999) * film.duration;
  };
  const seek = (to) => {
    playing.value = false;
    share.value = to;
    for (const film of films) goTo(film.current, to);
  };
  // A newer answer brings other films; who looks at a moment goes on looking at it.
  const onReady = (event) => playing.value || goTo(event.target, share.value);
  const offsets = (cells) => {
    const covered = whole.value === "all" ? Array.from({ length: moments }, (_, at) => at) : [moment];
    return covered.flatMap((at) => cells.map(([x, y]) => (at * rows + y) * columns + x));
  };
  const maskedIn = (at) =>
    mask.flat.subarray(at * rows * columns, (at + 1) * rows * columns).reduce((sum, each) => sum + each, 0) /
    (rows * columns);
  const toggleMoment = () => {
    const value = maskedIn(moment) === 1 ? 0 : 1;
    paint(
      Array.from({ length: rows * columns }, (_, at) => moment * rows * columns + at),
      value,
    );
  };

  return html`<div class=${`stack ${stale ? "awaiting" : ""}`}>
    <div class="triptych">
      <${Film} film=${films[0]} title="Original" src=${answer.media.original} onReady=${onReady} />
      <${Film} film=${films[1]} title="Masked" note="what the model sees; paint here" src=${answer.media.original}
        onReady=${onReady}>
        <${Painter} label="Mask of the video" columns=${columns} rows=${rows} brush=${brush}
          masked=${(x, y) => isMasked((moment * rows + y) * columns + x)}
          describe=${(x, y) => `Moment ${moment + 1}, row ${y + 1}, column ${x + 1}`}
          onPaint=${(cells, value) => paint(offsets(cells), value)} /><//>
      <${Film} film=${films[2]} title="Predicted" note="the model's prediction" predicted src=${answer.media.predicted}
        onReady=${onReady} />
    </div>
    <div class="transport">
      <${Button} icon=${playing.value ? "pause" : "play"} aria-label=${playing.value ? "Pause" : "Play"}
        onClick=${() => (playing.value = !playing.value)} />
      <div class="moments" role="group" aria-label="Moments; fuller is more masked">
        ${Array.from(
          { length: moments },
          (_, at) => html`
            <button type="button" class=${`moment ${at === moment ? "now" : ""}`}
              aria-current=${at === moment ? "time" : undefined}
          aria-label=${`Moment ${at + 1}, ${Math.round(maskedIn(at) * 100)}% masked`}
            onClick=${() => seek((at + 0.25) / moments)}>
          <i style=${{ height: `${maskedIn(at) * 100}%` }}></i></button>`,
        )}
      </div>
    </div>
    <div class="row">
      <${Segmented} label="A stroke covers" value=${whole.value} onChange=${(next) => (whole.value = next)}
        options=${[{ value: "all", label: "Paint all moments" }, { value: "one", label: "Paint this moment" }]} />
      <${Button} class="small" onClick=${toggleMoment}>
        ${maskedIn(moment) === 1 ? "Show" : "Mask"} moment ${moment + 1}<//>
    </div>
  </div>`;
}

function Film({ film, title, note, src, predicted, onReady, children }) {
  return html`<figure class=${`picture ${predicted ? "predicted" : ""}`}>
    <div class="picture-frame">
      <video ref=${film} src=${src} aria-label=${title} muted loop playsinline preload="auto"
        onLoadedMetadata=${onReady}></video>${children}</div>
    <figcaption>${title} ${note && html`<span class="muted">${note}</span>`}</figcaption>
  </figure>`;
}
