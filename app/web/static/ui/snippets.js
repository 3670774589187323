// "Copy as curl / Python": the request that the view has just made, for use outside of it.
import { address } from "../core/connection.js";
import { html, useSignal } from "../core/html.js";
import { key } from "../core/keys.js";
import { Button, Segmented } from "./controls.js";
import { toast } from "./toast.js";

/** Puts text on the clipboard; also where the page is not on HTTPS and the newer interface is missing. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(what);
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function curl({ method = "POST", path, body }) {
  const lines = [`curl ${method === "POST" ? "" : `-X ${method} `}${quoted(address(path))}`];
  if (key.value !== null) lines.push(`-H "authorization: Bearer $CLOZE_API_KEY"`);
  if (body) lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

export function python({ method = "POST", path, body }) {
  const lines = ["import httpx", ""];
  if (key.value !== null) lines.splice(1, 0, "import os");
  lines.push(`response = httpx.${method.toLowerCase()}(`, `    ${JSON.stringify(address(path))},`);
  if (key.value !== null) lines.push('    headers={"authorization": f"Bearer {os.environ[\'CLOZE_API_KEY\']}"},');
  if (body) lines.push(`    json=${literal(body)},`);
  lines.push("    timeout=60,", ")", "response.raise_for_status()", "print(response.json())");
  return lines.join("\n");
}

/** JSON → Python's own notation. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([name, each]) => `${JSON.stringify(name)}: ${literal(each)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

const LANGUAGES = [
  { value: "curl", label: "curl" },
  { value: "python", label: "Python" },
];

/** request: {method?, path, body?}, as the API client takes it; or what `writers`, a function a language, take. */
export function Snippets({ request, writers = { curl, python } }) {
  const language = useSignal("curl");
  const text = writers[language.value](request);
  return html`<section class="snippets" aria-label="This request as code">
    <div class="row between">
      <${Segmented} label="Language" value=${language.value} options=${LANGUAGES}
        onChange=${(next) => (language.value = next)} />
      <${Button} icon="copy" onClick=${() => copy(text, `Copied as ${language.value === "curl" ? "curl" : "Python"}`)}>
        Copy<//>
    </div>
    <pre tabindex="0"><code>${text}</code></pre>
  </section>`;
}
