// A small view of a file: a picture, a video without sound, or a sound.
import { html, useEffect, useSignal } from "../../core/html.js";

/** controls: whether a sound or a video has the browser's controls. play: whether a sound begins at once. */
export function Media({ file, controls = false, play = false }) {
  const url = useSignal(null);
  useEffect(() => {
    if (!file) return void (url.value = null);
    const own = URL.createObjectURL(file);
    url.value = own;
    return () => URL.revokeObjectURL(own);
  }, [file]);
  if (!file || !url.value) return null;
  const [major] = file.type.split("/");
  if (major === "image") return html`<img class="preview" src=${url.value} alt="" />`;
  if (major === "video")
    return html`<video class="preview" src=${url.value} muted loop playsinline autoplay=${play} controls=${controls}>
      </video>`;
  if (major === "audio" && (controls || play))
    return html`<audio src=${url.value} autoplay=${play} controls=${controls}></audio>`;
  return null;
}
