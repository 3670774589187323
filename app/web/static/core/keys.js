// The API key, where the server asks for one: kept for this tab only, and sent as `Authorization: Bearer`.
import { signal } from "./html.js";
import { session } from "./storage.js";

/** Whether a header can carry it, which holds no other letters. */
export const isSendable = (text) => /^[\x20-\x7e]+$/.test(text);

const kept = session.get("key");
export const key = signal(kept && isSendable(kept) ? kept : null);

/** null, or what the dialog asks: {wrong, answer(key), forget()}. */
export const keyPrompt = signal(null);

let asking = null;

/** Asks for a key until one is given; `used` is the one that the server has just refused, or null. */
export function askForKey(used) {
  if (key.peek() !== used) return Promise.resolve(); // another request has asked meanwhile
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
