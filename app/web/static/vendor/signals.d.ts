export interface Signal<T = any> {
  value: T;
  peek(): T;
}
type Effect = () => void | (() => void);
export function batch<T>(callback: () => T): T;
export function computed<T>(compute: () => T): Readonly<Signal<T>>;
export function effect(effect: Effect): () => void;
export function signal<T = any>(value?: T): Signal<T>;
export function untracked<T>(callback: () => T): T;
export function useComputed<T>(compute: () => T): Readonly<Signal<T>>;
export function useSignal<T = any>(value?: T): Signal<T>;
export function useSignalEffect(effect: Effect): void;
