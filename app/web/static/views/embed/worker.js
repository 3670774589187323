// The web worker of the projector: keeps the vectors, and computes while the page stays responsive.
import { neighbours, principal } from "./pca.js";
import { arrangeByNeighbours } from "./umap.js";

let vectors = new Float32Array();
let count = 0;
let size = 0;

const tasks = {
  project(given) {
    ({ vectors, count, size } = given);
    return principal(vectors, count, size);
  },
  arrange: (_, onShare) => arrangeByNeighbours(vectors, count, size, onShare),
  neighbours: ({ of, most }) => neighbours(vectors, count, size, of, most),
};

addEventListener("message", ({ data: { id, task, ...given } }) => {
  try {
    postMessage({ id, result: tasks[task](given, (share) => postMessage({ id, share })) });
  } catch (error) {
    postMessage({ id, error: String(error) });
  }
});
