// A picture from the camera, and files from the clipboard.
import { html, useEffect, useRef, useSignal } from "../../core/html.js";
import { Button } from "../../ui/controls.js";
import { Dialog } from "../../ui/dialog.js";
import { ErrorNote } from "../../ui/status.js";

/** Whether the browser offers a camera to this page: it does over HTTPS and on the same machine. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** A dialog with the view of the camera. onPicture(file) is called with each picture that is taken. */
export function Camera({ onPicture, onClose }) {
  const video = useRef();
  const ready = useSignal(false);
  const error = useSignal(null);
  useEffect(() => {
    let stream = null;
    let closed = false;
    navigator.mediaDevices
      .getUserMedia({ video: true })
      .then((found) => {
        stream = found;
        if (closed) return stop(stream);
        video.current.srcObject = stream;
      })
      .catch((failed) => (error.value = failed));
    return () => {
      closed = true;
      if (stream) stop(stream);
    };
  }, []);
  return html`<${Dialog} title="Take a picture" onClose=${onClose} wide>
    ${error.value && html`<${ErrorNote} error=${new Error(`The camera cannot be used: ${error.value.message}`)} />`}
    <video class="camera" ref=${video} autoplay muted playsinline onLoadedData=${() => (ready.value = true)}></video>
    <div class="row end"><${Button} kind="primary" disabled=${!ready.value}
      onClick=${async () => onPicture(await grab(video.current))}>Take the picture<//></div>
  <//>`;
}

const stop = (stream) => stream.getTracks().forEach((track) => track.stop());

function grab(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) =>
    canvas.toBlob((blob) => resolve(new File([blob], "camera.jpg", { type: blob.type })), "image/jpeg", 0.95),
  );
}

/** Calls onFile with the first file of what is pasted into the page. */
export function usePastedFile(onFile) {
  useEffect(() => {
    const onPaste = (event) => {
      const [file] = event.clipboardData?.files ?? [];
      if (!file) return; // a text goes where the cursor is
      event.preventDefault();
      onFile(file);
    };
    document.addEventListener("paste", onPaste);
    return () => document.removeEventListener("paste", onPaste);
  }, []);
}
