// The web worker of the projector: keeps the vectors, and computes while the page stays responsive.
import { neighbours, principal } from "./pca.js";

let vectors = new Float32Array();
let count = 0;
let size = 0;

addEventListener("message", ({ data: { id, task, ...given } }) => {
  if (task === "project") {
    ({ vectors, count, size } = given);
    postMessage({ id, result: principal(vectors, count, size) });
  } else postMessage({ id, result: neighbours(vectors, count, size, given.of, given.most) });
});
