export const h: Function;
export const Fragment: any;
export function createPortal(child: any, container: Element): any;
export function render(node: any, parent: Element): void;
