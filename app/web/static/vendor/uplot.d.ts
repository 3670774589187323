export default class uPlot {
  constructor(options: object, data: any[][], place: Element);
  setData(data: any[][]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
