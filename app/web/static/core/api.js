// All requests to the server. Waits for a key (401), for a busy server (429) and for an unreachable one,
// so that a view gets a response, an ApiError to show, or an AbortError.
import { address, pause, reconnected } from "./connection.js";
import { signal } from "./html.js";
import { askForKey, authorization, key } from "./keys.js";

const GIVE_UP_BUSY = 8; // retries for a busy server

/** null, or {until} (ms since 1970) while a busy server's Retry-After passes. */
export const busy = signal(null);

/** Number of requests that have been pending long enough to be shown. */
export const slow = signal(0);

/** An error response of the server: {message, code, param, type, status, requestId}. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "unreachable", param = null, type = null, requestId = null } = {}) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, param, type, requestId });
  }
}

export const isAbort = (error) => error?.name === "AbortError";

/**
 * Sends a request. Returns the Response if it is successful.
 *
 * resend: whether to send the request again after a network failure, when it is unknown whether the
 * first one arrived. Set it for requests that change nothing.
 *
 * @typedef {{method?: string, body?: any, headers?: object, signal?: AbortSignal, resend?: boolean}} Options
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<Response>}
 */
export async function send(
  path,
  { method = "GET", body, headers = {}, signal: aborted, resend = method === "GET" } = {},
) {
  for (let refusals = 0; ; ) {
    const used = key.peek();
    let response;
    try {
      response = await fetch(address(path), {
        method,
        body,
        headers: { ...headers, ...authorization() },
        signal: aborted,
      });
    } catch (error) {
      if (isAbort(error) || aborted?.aborted) throw error;
      const back = reconnected();
      if (!resend) throw new ApiError("The server could not be reached, so it is not known whether this was done.");
      await orAborted(back, aborted);
      continue;
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await orAborted(askForKey(used), aborted);
    } else if (response.status === 429 && ++refusals <= GIVE_UP_BUSY) {
      const refusal = /** @type {any} */ (await failure(response));
      if (refusal.code === "quota_exceeded") throw refusal; // waiting does not help
      await waitWhileBusy(response, aborted);
    } else if (isProxyError(response) && resend) {
      await orAborted(reconnected(), aborted);
    } else {
      throw await failure(response);
    }
  }
}

/** Sends a GET request. Returns the JSON of the response. */
export const get = (path, options) => json(path, options);

/** Sends a POST request that changes nothing, so it may be sent again. Returns the JSON of the response. */
export const ask = (path, body, options) => json(path, { ...jsonBody(body), method: "POST", resend: true, ...options });

/** Sends a request that changes something, once. `body` is JSON or a FormData. */
export const change = (method, path, body, options) => json(path, { ...jsonBody(body), method, ...options });

async function json(path, options) {
  const done = watchSlow();
  try {
    const response = await send(path, options);
    return response.status === 204 ? null : await response.json();
  } finally {
    done();
  }
}

function jsonBody(body) {
  if (body === undefined || body instanceof FormData || body instanceof Blob) return { body };
  return { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

async function waitWhileBusy(response, aborted) {
  const seconds = Math.max(1, Number(response.headers.get("retry-after")) || 1);
  const until = Date.now() + seconds * 1000;
  if (!busy.peek() || busy.peek().until < until) busy.value = { until };
  try {
    await pause(seconds * 1000, aborted);
  } finally {
    if (busy.peek()?.until <= until) busy.value = null;
  }
}

// A proxy answers for the server while it restarts. Such responses lack the request id.
const isProxyError = (response) => [502, 503, 504].includes(response.status) && !response.headers.has("x-request-id");

async function failure(response) {
  const requestId = response.headers.get("x-request-id");
  const text = await response.text();
  try {
    const { message, ...rest } = JSON.parse(text).error;
    return new ApiError(message, { ...rest, status: response.status, requestId });
  } catch {
    return new ApiError(`The server answered ${response.status}.`, {
      status: response.status,
      code: "unknown",
      requestId,
    });
  }
}

function orAborted(promise, aborted) {
  if (!aborted) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(aborted.reason);
    if (aborted.aborted) stop();
    aborted.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => aborted.removeEventListener("abort", stop));
  });
}

function watchSlow() {
  let counted = false;
  const timer = setTimeout(() => {
    counted = true;
    slow.value = slow.peek() + 1;
  }, 600);
  return () => {
    clearTimeout(timer);
    if (counted) slow.value = slow.peek() - 1;
  };
}
