// The API key, if the server requires one. It is kept for this tab only and sent as `Authorization: Bearer`.
import { signal } from "./html.js";
import { session } from "./storage.js";

/** Tells whether a header can contain the key. */
export const isSendable = (text) => /^[\x20-\x7e]+$/.test(text);

const kept = session.get("key");
export const key = signal(kept && isSendable(kept) ? kept : null);

/** null, or the state of the key dialog: {wrong, answer(key), forget()}. */
export const keyPrompt = signal(null);

let asking = null;

/** Asks the user for a key. `used` is the key that the server has just refused, or null. */
export function askForKey(used) {
  if (key.peek() !== used) return Promise.resolve(); // another request has already asked
  asking ??= new Promise((resolve) => {
    keyPrompt.value = {
      wrong: used !== null,
      answer(given) {
        key.value = given.trim();
        session.set("key", key.value);
        keyPrompt.value = null;
        asking = null;
        resolve();
      },
    };
  });
  return asking;
}

export function forgetKey() {
  key.value = null;
  session.set("key", null);
}

export const authorization = () => (key.peek() === null ? {} : { authorization: `Bearer ${key.peek()}` });
