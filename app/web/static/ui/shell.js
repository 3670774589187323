// The frame around every view: navigation, banners, dialogs and notes.
import { busy, slow } from "../core/api.js";
import { connection } from "../core/connection.js";
import { html, useEffect, useRef, useSignal } from "../core/html.js";
import { forgetKey, isSendable, key, keyPrompt } from "../core/keys.js";
import { link, route } from "../core/router.js";
import { nextTheme, theme } from "../core/theme.js";
import { VIEWS } from "../views.js";
import { Button, TextField } from "./controls.js";
import { Confirmation, Dialog } from "./dialog.js";
import { Empty } from "./status.js";
import { Toasts } from "./toast.js";

const ODD_KEY = "This has a character that no key can have; an invisible one may have come along.";
const THEME_ICONS = { system: "system", light: "light", dark: "dark" };

export function Shell() {
  const view = VIEWS.find((each) => each.id === route.value.view);
  const main = useRef();
  const first = useRef(true);
  useEffect(() => {
    document.title = view ? `${view.title} · Cloze` : "Cloze";
    if (!first.current) main.current.focus({ preventScroll: true });
    first.current = false;
  }, [route.value.view, route.value.segments.join("/")]);
  return html`
    <a class="skip" href="#main" onClick=${(e) => (e.preventDefault(), main.current.focus())}>Skip to content</a>
    <${Header} />
    <${Banner} />
    <main id="main" class="main" tabindex="-1" ref=${main}>
      ${
        view
          ? html`<${view.component} key=${view.id} />`
          : html`<${Empty} title="There is nothing here" text="The address names no view of this page.">
            <a class="button primary" href=${link("fill")}>Go to Fill</a><//>`
      }
    </main>
    <${KeyDialog} /><${Confirmation} /><${Toasts} />`;
}

function Header() {
  return html`<header class="header">
    <a class="brand" href=${link("fill")} aria-label="Cloze, home"><span class="brand-mark" aria-hidden="true"><i></i>
      <i></i></span>Cloze</a>
    <nav class="nav" aria-label="Views">
      ${VIEWS.map(
        (view) => html`
        <a href=${link(view.id)} aria-current=${view.id === route.value.view ? "page" : undefined}>${view.title}</a>`,
      )}
    </nav>
    <div class="header-end">
      <span class=${`slow ${slow.value ? "on" : ""}`} role="status">
        ${
          slow.value
            ? html`<span class="spinner" aria-hidden="true"></span><span class="visually-hidden">
          Waiting for the server</span>`
            : ""
        }</span>
      ${
        key.value !== null &&
        html`
        <${Button} kind="quiet" icon="key" aria-label="Forget the API key" title="Forget the API key"
          onClick=${forgetKey} />`
      }
      <a class="quiet-link" href="docs">API</a>
      <${Button} kind="quiet" icon=${THEME_ICONS[theme.value]} title=${`Theme: ${theme.value}`}
        aria-label=${`Theme: ${theme.value}. Change`} onClick=${nextTheme} />
    </div>
  </header>`;
}

/** Explains why the page gets no responses, and that it will continue by itself. */
function Banner() {
  const offline = connection.value === "offline";
  return html`<div class="banner-place" role="status" aria-live="polite">
    ${
      offline &&
      html`<div class="banner"><span class="spinner" aria-hidden="true"></span>
      The server does not answer; it may be restarting. Nothing is lost: this page goes on by itself.</div>`
    }
    ${!offline && busy.value && html`<${BusyBanner} until=${busy.value.until} />`}
  </div>`;
}

function BusyBanner({ until }) {
  const left = () => Math.max(1, Math.ceil((until - Date.now()) / 1000));
  const seconds = useSignal(left());
  useEffect(() => {
    seconds.value = left();
    const timer = setInterval(() => (seconds.value = left()), 250);
    return () => clearInterval(timer);
  }, [until]);
  return html`<div class="banner"><span class="spinner" aria-hidden="true"></span>
    The server is busy. Trying again in <span aria-hidden="true">${seconds.value} s.</span>
    <span class="visually-hidden">a moment.</span></div>`;
}

function KeyDialog() {
  const given = useSignal("");
  const odd = useSignal(false);
  const prompt = keyPrompt.value;
  if (!prompt) return null;
  const submit = (event) => {
    event.preventDefault();
    const text = given.value.trim();
    if (!text) return;
    odd.value = !isSendable(text);
    if (odd.value) return;
    given.value = "";
    prompt.answer(text);
  };
  const error = odd.value ? ODD_KEY : prompt.wrong ? "The server does not know this key." : undefined;
  return html`<${Dialog} title="This server asks for an API key">
    <form onSubmit=${submit}>
      <${TextField} label="API key" type="password" value=${given.value} onInput=${(next) => (given.value = next)}
        autocomplete="off" autofocus
        error=${error}
        hint="Kept until this tab is closed, and sent to this server only." />
      <div class="row end"><${Button} kind="primary" type="submit" disabled=${!given.value.trim()}>Continue<//></div>
    </form>
  <//>`;
}
