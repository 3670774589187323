// The state of the connection. Requests that failed because of the network wait here until the server answers.
import { signal } from "./html.js";

const FIRST_WAIT = 500; // ms; doubled up to LAST_WAIT
const LAST_WAIT = 4000;

/** "online", or "offline" while the server does not answer. */
export const connection = signal("online");

/** Increases each time the server is back, so that views fetch their data again. */
export const reconnections = signal(0);

/** Resolves a path relative to the page's URL, so that the page works under any prefix. */
export const address = (path) => new URL(path.replace(/^\//, ""), new URL(".", document.baseURI)).href;

/** Replaces the default address of a server in examples of requests, as model cards have them, by this server's. */
export const withOwnAddress = (text, own = address("/")) =>
  text.replaceAll(/http:\/\/127\.0\.0\.1:8000(?=\/v1\/)/g, own.replace(/\/$/, ""));

let returning = null;

/** Resolves once the server answers again. All waiters share one poll. */
export function reconnected() {
  connection.value = "offline";
  returning ??= poll().finally(() => (returning = null));
  return returning;
}

async function poll() {
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LAST_WAIT)) {
    await pause(wait);
    try {
      const response = await fetch(address("/health"), { cache: "no-store" });
      if (response.status < 500 || response.headers.has("x-request-id")) break; // a proxy's 502 is not the server's
    } catch {
      // still unreachable
    }
  }
  connection.value = "online";
  reconnections.value = reconnections.peek() + 1;
}

/** Sleeps. Rejects with an AbortError when the signal is aborted. */
export function pause(ms, aborted) {
  return new Promise((resolve, reject) => {
    aborted?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(aborted.reason);
    };
    const timer = setTimeout(() => {
      aborted?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    aborted?.addEventListener("abort", stop, { once: true });
  });
}
