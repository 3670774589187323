// Uploads with progress, which fetch does not report.
import { ApiError } from "./api.js";
import { address, pause, reconnected } from "./connection.js";
import { askForKey, authorization, key } from "./keys.js";

const PATIENCE = 5; // retries for a busy server

/**
 * Uploads a file to /v1/files. Returns the file object. onProgress(share): the share that has been sent.
 * Rejects with an AbortError when `signal` is aborted.
 */
export async function upload(file, { onProgress, signal }) {
  for (let refusals = 0; ; ) {
    const used = key.peek();
    const { status, text, header } = await sent(file, onProgress, signal);
    if (status === 200) return JSON.parse(text);
    if (status === 401) await askForKey(used);
    else if (status === 429 && ++refusals <= PATIENCE) await pause(1000 * (Number(header("retry-after")) || 1), signal);
    else throw refusal(status, text, header("x-request-id"));
  }
}

function sent(file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address("/v1/files"));
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.(total ? loaded / total : 0);
    request.onload = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        header: (name) => request.getResponseHeader(name),
      });
    request.onerror = () => {
      void reconnected(); // the banner shows that the server is unreachable
      reject(new ApiError(`The connection broke off while ${file.name} was sent. Send it again.`));
    };
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    if (signal?.aborted) return reject(signal.reason);
    const form = new FormData();
    form.append("purpose", "fine-tune");
    form.append("file", file);
    request.send(form);
  });
}

function refusal(status, text, requestId) {
  try {
    const { message, ...rest } = JSON.parse(text).error;
    return new ApiError(message, { ...rest, status, requestId });
  } catch {
    return new ApiError(`The server answered ${status}.`, { status, code: "unknown", requestId });
  }
}
