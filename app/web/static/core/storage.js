// localStorage and sessionStorage. If the browser forbids them, nothing is stored.

const kept = (storage) => ({
  get(name) {
    try {
      return storage()?.getItem(`cloze.${name}`) ?? null;
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      if (value === null) storage()?.removeItem(`cloze.${name}`);
      else storage()?.setItem(`cloze.${name}`, value);
    } catch {
      // a full or forbidden storage only loses a preference
    }
  },
});

export const lasting = kept(() => globalThis.localStorage);
export const session = kept(() => globalThis.sessionStorage);
