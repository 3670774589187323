// localStorage and sessionStorage, where the browser allows them; else nothing is kept.

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
      // a full or forbidden storage costs a preference, no more
    }
  },
});

export const lasting = kept(() => globalThis.localStorage);
export const session = kept(() => globalThis.sessionStorage);
