// Form controls and buttons. Labels are always real labels; everything works from the keyboard.
import { html, useId, useRef } from "../core/html.js";
import { Icon } from "./icons.js";

const classes = (...names) => names.filter(Boolean).join(" ");

/** kind: "plain" (default), "primary", "quiet" or "danger". `icon` is a name of icons.js. */
export function Button({ kind = "plain", icon, busy = false, disabled = false, class: extra, children, ...rest }) {
  return html`<button type="button" class=${classes("button", kind, !children && "icon-only", extra)}
    disabled=${disabled || busy} aria-busy=${busy || undefined} ...${rest}>
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} />`}
    ${children}
  </button>`;
}

/** A label over one control; `hint` and `error` stand below it. children: (id, describedBy) => control. */
export function Field({ label, hint, error, children, class: extra }) {
  const id = useId();
  const note = error || hint;
  return html`<div class=${classes("field", error && "invalid", extra)}>
    <label for=${id}>${label}</label>
    ${children(id, note ? `${id}-note` : undefined)}
    ${note && html`<p class="field-note" id=${`${id}-note`} role=${error ? "alert" : undefined}>${note}</p>`}
  </div>`;
}

/** options: [{value, label, disabled}] or strings. */
export function Select({ label, value, options, onChange, hint, error, disabled }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(id, note) => html`
    <select id=${id} value=${value} disabled=${disabled} aria-describedby=${note}
      onChange=${(e) => onChange(e.target.value)}>
      ${options.map((option) => {
        const {
          value: each,
          label: text,
          disabled: off,
        } = typeof option === "string" ? { value: option, label: option } : option;
        return html`<option value=${each} disabled=${off} selected=${each === value}>${text}</option>`;
      })}
    </select>`}<//>`;
}

/** A number within bounds. `show` formats the value beside the label. */
export function Slider({ label, value, min, max, step = 1, onInput, show = String, hint, disabled }) {
  const id = useId();
  return html`<div class="field slider">
    <div class="slider-head"><label for=${id}>${label}</label><output for=${id}>${show(value)}</output></div>
    <input id=${id} type="range" value=${value} min=${min} max=${max} step=${step} disabled=${disabled}
      aria-valuetext=${show(value)} onInput=${(e) => onInput(Number(e.target.value))} />
    ${hint && html`<p class="field-note">${hint}</p>`}
  </div>`;
}

/** A text field; `type` is that of the input. */
export function TextField({ label, value, onInput, hint, error, type = "text", ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(id, note) => html`
    <input id=${id} type=${type} value=${value} aria-describedby=${note} aria-invalid=${error ? "true" : undefined}
      onInput=${(e) => onInput(e.target.value)} ...${rest} />`}<//>`;
}

export function TextArea({ label, value, onInput, hint, error, rows = 3, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error}>${(id, note) => html`
    <textarea id=${id} rows=${rows} value=${value} aria-describedby=${note} aria-invalid=${error ? "true" : undefined}
      onInput=${(e) => onInput(e.target.value)} ...${rest}></textarea>`}<//>`;
}

export function Switch({ label, checked, onChange, disabled, hint, error }) {
  const id = useId();
  const note = error || hint;
  const control = html`<label class="switch"><input type="checkbox" role="switch" checked=${checked}
    disabled=${disabled} aria-describedby=${note ? id : undefined} onChange=${(e) => onChange(e.target.checked)} />
    <span class="switch-track" aria-hidden="true"></span>${label}</label>`;
  if (!note) return control;
  return html`<div class=${classes("field", error && "invalid")}>${control}
    <p class="field-note" id=${id} role=${error ? "alert" : undefined}>${note}</p></div>`;
}

/** One of a few, side by side: options [{value, label}]. A group of radio buttons to assistive software. */
export function Segmented({ label, value, options, onChange }) {
  const name = useId();
  return html`<fieldset class="segmented"><legend class="visually-hidden">${label}</legend>
    ${options.map(
      (option) => html`<label class=${classes("segment", option.value === value && "chosen")}>
      <input type="radio" name=${name} value=${option.value} checked=${option.value === value}
        onChange=${() => onChange(option.value)} />${option.label}</label>`,
    )}
  </fieldset>`;
}

/** A section that opens and closes, for settings that few users need. */
export function Details({ summary, open, onToggle, children }) {
  return html`<details class="details" open=${open} onToggle=${onToggle}>
    <summary><${Icon} name="chevron" />${summary}</summary>
    <div class="details-body">${children}</div></details>`;
}

/** Whether a section that opens for an error is open. It stays so when the error is fixed: the user is still in it. */
export function useOpened(wrong) {
  const opened = useRef(false);
  opened.current ||= wrong;
  return opened.current || undefined;
}

/** Files by drop or by dialog. onFiles(files): an array of File. */
export function DropZone({ label, accept, multiple = false, onFiles, hint }) {
  const id = useId();
  const over = (on) => (event) => {
    event.preventDefault();
    event.currentTarget.classList.toggle("over", on);
  };
  const drop = (event) => {
    over(false)(event);
    const files = [...event.dataTransfer.files];
    if (files.length) onFiles(multiple ? files : files.slice(0, 1));
  };
  const pick = (event) => {
    const files = [...event.target.files];
    event.target.value = ""; // the same file may be chosen again
    if (files.length) onFiles(files);
  };
  return html`<label class="drop-zone" for=${id} onDragOver=${over(true)} onDragLeave=${over(false)} onDrop=${drop}>
    <input class="visually-hidden" id=${id} type="file" accept=${accept} multiple=${multiple} onChange=${pick} />
    <${Icon} name="upload" /><span>${label}</span>${hint && html`<small>${hint}</small>`}
  </label>`;
}

/** A button that opens a dialog for one folder. onFiles(files): all its files, with their `webkitRelativePath`. */
export function FolderButton({ label, onFiles }) {
  const input = useRef();
  const pick = (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) onFiles(files);
  };
  return html`<${Button} icon="upload" onClick=${() => input.current.click()}>${label}<//>
    <input class="visually-hidden" ref=${input} type="file" webkitdirectory tabindex="-1" aria-hidden="true"
      aria-label=${label} onChange=${pick} />`;
}
