// Tabs as the ARIA practices describe them: arrows move, and the panel follows.
import { html, useId, useRef } from "../core/html.js";

/** tabs: [{id, label}]; children: the panel of the chosen one. */
export function Tabs({ label, tabs, chosen, onChoose, children }) {
  const id = useId();
  const list = useRef();
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const next = { Home: 0, End: tabs.length - 1 }[event.key] ?? (step && (at + step + tabs.length) % tabs.length);
    if (next === undefined) return;
    event.preventDefault();
    onChoose(tabs[next].id);
    list.current.children[next].focus();
  };
  return html`<div class="tabs">
    <div class="tab-list" role="tablist" aria-label=${label} ref=${list} onKeyDown=${onKeyDown}>
      ${tabs.map(
        (tab) => html`<button type="button" role="tab" id=${`${id}-${tab.id}`} class="tab"
        aria-selected=${tab.id === chosen ? "true" : "false"} aria-controls=${`${id}-panel`}
        tabindex=${tab.id === chosen ? 0 : -1} onClick=${() => onChoose(tab.id)}>${tab.label}</button>`,
      )}
    </div>
    <div class="tab-panel" role="tabpanel" id=${`${id}-panel`} aria-labelledby=${`${id}-${chosen}`} tabindex="0">
      ${children}</div>
  </div>`;
}
