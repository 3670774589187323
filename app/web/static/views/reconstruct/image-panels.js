// Original, masked and predicted picture side by side; the masked one is painted on.
import { html } from "../../core/html.js";
import { Painter } from "./painter.js";
import { isMasked, paint } from "./painting.js";

export function ImagePanels({ answer, mask, brush, stale }) {
  const [rows, columns] = mask.shape;
  return html`<div class=${`triptych ${stale ? "awaiting" : ""}`}>
    <${Picture} title="Original" src=${answer.media.original} alt="What was sent, as the model would see it" />
    <figure class="picture">
      <div class="picture-frame"><img src=${answer.media.original} alt="" draggable="false" />
        <${Painter} label="Mask of the picture" columns=${columns} rows=${rows} brush=${brush}
          masked=${(x, y) => isMasked(y * columns + x)}
          describe=${(x, y) => `Row ${y + 1}, column ${x + 1}`}
          onPaint=${(cells, value) =>
            paint(
              cells.map(([x, y]) => y * columns + x),
              value,
            )} /></div>
      <figcaption>Masked <span class="muted">what the model sees; paint here</span></figcaption>
    </figure>
    <${Picture} title="Predicted" note="the model's prediction" src=${answer.media.predicted}
      alt="The model's prediction in place of the masked parts" predicted />
  </div>`;
}

function Picture({ title, note, src, alt, predicted }) {
  return html`<figure class=${`picture ${predicted ? "predicted" : ""}`}>
    <div class="picture-frame"><img src=${src} alt=${alt} /></div>
    <figcaption>${title} ${note && html`<span class="muted">${note}</span>`}</figcaption>
  </figure>`;
}
