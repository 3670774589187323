// The training methods, as the server describes them. Fetched once.
import { get } from "../../core/api.js";
import { signal } from "../../core/html.js";

/** null until known, then the methods of /v1/pretraining/methods. */
export const methods = signal(null);
export const methodsError = signal(null);

let asked = null;

export function loadMethods() {
  asked ??= get("/v1/pretraining/methods").then(
    (found) => {
      methods.value = found.data;
      methodsError.value = null;
    },
    (failed) => {
      methodsError.value = failed;
      asked = null;
    },
  );
}

export const methodOf = (id) => methods.value?.find((method) => method.id === id) ?? null;
