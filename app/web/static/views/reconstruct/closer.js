// A closer look at a predicted picture: over the original with a slider between them, and as a map of errors.
import { percent } from "../../core/format.js";
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { Slider } from "../../ui/controls.js";
import { errorsOf, heatOf } from "./errors.js";

export function CloserLook({ answer }) {
  return html`<div class="closer"><${BeforeAfter} media=${answer.media} /><${ErrorMap} media=${answer.media} /></div>`;
}

function BeforeAfter({ media }) {
  const share = useSignal(0.5);
  const edge = `${share.value * 100}%`;
  return html`<figure class="picture">
    <div class="picture-frame">
      <img src=${media.original} alt="The original" />
      <img class="after" src=${media.predicted} alt="The prediction, right of the edge"
        style=${{ clipPath: `inset(0 0 0 ${edge})` }} />
      <i class="edge" style=${{ left: edge }}></i>
    </div>
    <${Slider} label="Original or predicted" min=${0} max=${1} step=${0.01} value=${share.value}
      show=${(value) => `${Math.round(value * 100)}% original`} onInput=${(next) => (share.value = next)} />
  </figure>`;
}

function ErrorMap({ media }) {
  const canvas = useRef();
  const found = useSignal(null); // {mean, most}
  useEffect(() => {
    let gone = false;
    Promise.all([pixelsOf(media.original), pixelsOf(media.predicted)]).then(
      ([original, predicted]) => {
        if (gone || original.width !== predicted.width || original.height !== predicted.height) return;
        const { errors, mean, most } = errorsOf(original.data, predicted.data);
        Object.assign(canvas.current, { width: original.width, height: original.height });
        const heat = new ImageData(heatOf(errors, most), original.width, original.height);
        canvas.current.getContext("2d").putImageData(heat, 0, 0);
        found.value = { mean, most };
      },
      () => {}, // a newer answer has taken its place
    );
    return () => (gone = true);
  }, [media.original, media.predicted]);
  const said = found.value && `on average ${percent(found.value.mean)}, at most ${percent(found.value.most)}`;
  return html`<figure class="picture">
    <div class="picture-frame"><canvas class="error-map" ref=${canvas} role="img"
      aria-label=${`Error of every pixel${said ? `: ${said}` : ""}`}></canvas></div>
    <figcaption>Error <span class="muted">
      ${said ? `${said} of the range of values; the brighter, the larger` : "…"}</span></figcaption>
  </figure>`;
}

async function pixelsOf(url) {
  const image = Object.assign(new Image(), { src: url });
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
}
