// The worker of the projector, as calls that return promises. It starts with the first call.

/** Under the page's policy, a worker's address needs this type in browsers that know it. */
const policy = globalThis["trustedTypes"]?.createPolicy("cloze-worker", {
  createScriptURL: () => new URL("./worker.js", import.meta.url).href, // this file only, whatever is asked for
});

let worker = null;
let last = 0;
const waiting = new Map(); // id → {resolve, reject, onShare}

function start() {
  const url = policy?.createScriptURL("") ?? new URL("./worker.js", import.meta.url);
  worker = new Worker(url, { type: "module" });
  worker.onmessage = ({ data: { id, share, result, error } }) => {
    if (share !== undefined) return waiting.get(id)?.onShare?.(share);
    if (error !== undefined) waiting.get(id)?.reject(new Error(error));
    else waiting.get(id)?.resolve(result);
    waiting.delete(id);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "The worker could not start."));
    waiting.clear();
    worker = null;
  };
}

function call(task, given, onShare) {
  if (!worker) start();
  const id = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, onShare });
    worker.postMessage({ id, task, ...given });
  });
}

/** Keeps a copy of the vectors [count, size] and returns their principal components: see pca.js. */
export const project = (vectors, count, size) => call("project", { vectors, count, size });

/** Points of the vectors that were projected last, which keep neighbourhoods: see umap.js. */
export const arrange = (onShare) => call("arrange", {}, onShare);

/** The nearest neighbours of one of the vectors that were projected last. */
export const neighbours = (of, most) => call("neighbours", { of, most });
