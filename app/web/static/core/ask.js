// Requests that follow the user's input: only the latest one counts, and older ones are cancelled.
import { isAbort } from "./api.js";
import { pause } from "./connection.js";
import { signal } from "./html.js";

/**
 * const answer = latest(); answer.run(async (aborted) => …, delay) runs after `delay` ms without a newer
 * call. Signals: `value` (the last answer, kept while the next one is pending), `error`, `pending`.
 */
export function latest() {
  const value = signal(null);
  const error = signal(null);
  const pending = signal(false);
  let controller = null;

  async function run(question, delay = 0) {
    controller?.abort();
    const own = (controller = new AbortController());
    pending.value = true;
    try {
      if (delay) await pause(delay, own.signal);
      const answer = await question(own.signal);
      if (own !== controller) return;
      value.value = answer;
      error.value = null;
      pending.value = false;
    } catch (failed) {
      if (own !== controller || isAbort(failed)) return;
      error.value = failed;
      pending.value = false;
    }
  }

  function clear() {
    controller?.abort();
    controller = null;
    value.value = null;
    error.value = null;
    pending.value = false;
  }

  return { value, error, pending, run, clear };
}
