// Whether the server can be reached. Requests that failed for want of a network wait here until it can.
import { signal } from "./html.js";

const FIRST_WAIT = 500; // ms; doubles up to the last one
const LAST_WAIT = 4000;

/** "online", or "offline" while the server does not answer. */
export const connection = signal("online");

/** Counts up each time the server is back: views fetch again what may have changed. */
export const reconnections = signal(0);

/** Addresses are relative to the page's own, so that it works under any prefix. */
export const address = (path) => new URL(path.replace(/^\//, ""), new URL(".", document.baseURI)).href;

let returning = null;

/** Resolves once the server answers again; all that wait share one poll. */
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
      if (response.status < 500 || response.headers.has("x-request-id")) break; // a proxy's 502 is no answer of ours
    } catch {
      // still away
    }
  }
  connection.value = "online";
  reconnections.value = reconnections.peek() + 1;
}

/** Sleeps; an aborted signal ends it with an AbortError. */
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
