// Two dimensions that keep neighbourhoods: UMAP (McInnes et al. 2018, arXiv 1802.03426). A pure function.
import "../../vendor/umap.js"; // defines globalThis.UMAP
import { unitRows } from "./pca.js";

const NEIGHBOURS = 15;
const EVERY = 10; // epochs between two reports

/**
 * The points of vectors in rows [count, size], by the cosine between them: Float32Array [count, 2]. The same vectors
 * give the same points. onShare is told the share of the epochs that is done.
 */
export function arrangeByNeighbours(vectors, count, size, onShare) {
  const umap = new globalThis.UMAP.UMAP({ nNeighbors: Math.min(NEIGHBOURS, count - 1), random: generator(1) });
  const epochs = umap.initializeFit(unitRows(vectors, count, size));
  for (let epoch = 0; epoch < epochs; epoch++) {
    umap.step();
    if (epoch % EVERY === 0) onShare(epoch / epochs);
  }
  return Float32Array.from(umap.getEmbedding().flat());
}

/** Numbers in [0, 1) from a seed: mulberry32. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
