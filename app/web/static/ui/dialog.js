// Modal dialogs on the browser's own <dialog>: it keeps the focus and closes by Escape.
import { html, signal, useEffect, useId, useRef } from "../core/html.js";
import { Button } from "./controls.js";

/** Open while it is rendered. onClose: Escape, the cross or a click beside it; without it, it cannot be left. */
export function Dialog({ title, onClose, children, wide = false }) {
  const ref = useRef();
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => {
      ref.current = null;
      dialog.close();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  const closed = () => !onClose && ref.current?.showModal(); // a second Escape closes it whatever we say
  const beside = (event) => event.target === ref.current && onClose?.();
  return html`
    <dialog class=${`dialog ${wide ? "wide" : ""}`} ref=${ref} aria-labelledby=${id} onCancel=${cancel}
      onClose=${closed} onMouseDown=${beside}>
    <div class="dialog-head"><h2 id=${id}>${title}</h2>
      ${onClose && html`<${Button} kind="quiet" icon="close" aria-label="Close" onClick=${onClose} />`}</div>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

const question = signal(null);

/** Asks before something that cannot be undone: `if (await confirm({title, text, action: "Delete"})) …` */
export function confirm(options) {
  return new Promise((resolve) => {
    const answer = (given) => {
      question.value = null;
      resolve(given);
    };
    question.value = { ...options, answer };
  });
}

/** Where confirm() asks; the shell renders it once. */
export function Confirmation() {
  if (!question.value) return null;
  const { title, text, action, danger = true, answer } = question.value;
  return html`<${Dialog} title=${title} onClose=${() => answer(false)}>
    <p>${text}</p>
    <div class="row end">
      <${Button} onClick=${() => answer(false)}>Cancel<//>
      <${Button} kind=${danger ? "danger" : "primary"} onClick=${() => answer(true)}>${action}<//>
    </div>
  <//>`;
}
