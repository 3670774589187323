// The part of umap-js that the page uses. The script defines a global.
export interface Umap {
  initializeFit(rows: ArrayLike<number>[]): number;
  step(): number;
  getEmbedding(): number[][];
}

declare global {
  var UMAP: { UMAP: new (options: { nNeighbors: number; random: () => number }) => Umap };
}
