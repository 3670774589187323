type Inputs = readonly unknown[];
type Effect = () => void | (() => void);
export function useCallback<F extends Function>(callback: F, inputs: Inputs): F;
export function useEffect(effect: Effect, inputs?: Inputs): void;
export function useId(): string;
export function useLayoutEffect(effect: Effect, inputs?: Inputs): void;
export function useMemo<T>(factory: () => T, inputs: Inputs): T;
export function useRef<T = any>(value?: T): { current: T };
