// The request that is shown, as code: the file goes as a form, so this is not what ui/snippets.js writes.
import { address } from "../../core/connection.js";
import { html, useState } from "../../core/html.js";
import { key } from "../../core/keys.js";
import { Button, Segmented } from "../../ui/controls.js";
import { copy } from "../../ui/snippets.js";

const quoted = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;
const sent = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function curl({ fields, file }) {
  const lines = [`curl ${quoted(address("/v1/reconstruct"))}`];
  if (key.value !== null) lines.push(`-H "authorization: Bearer $CLOZE_API_KEY"`);
  lines.push(`-F ${quoted(`file=@${file}`)}`, ...Object.entries(fields).map(([name, value]) => `-F ${quoted(`${name}=${sent(value)}`)}`));
  return lines.join(" \\\n  ");
}

function python({ fields, file }) {
  const data = Object.entries(fields).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(sent(value))}`);
  return [
    ...(key.value === null ? [] : ["import os"]),
    "import httpx",
    "",
    `with open(${JSON.stringify(file)}, "rb") as file:`,
    "    response = httpx.post(",
    `        ${JSON.stringify(address("/v1/reconstruct"))},`,
    ...(key.value === null ? [] : ["        headers={\"authorization\": f\"Bearer {os.environ['CLOZE_API_KEY']}\"},"]),
    `        data={${data.join(", ")}},`,
    '        files={"file": file},',
    "        timeout=60,",
    "    )",
    "answer = response.raise_for_status().json()",
    'print(answer["psnr"], answer["baselines"])',
  ].join("\n");
}

const LANGUAGES = [{ value: "curl", label: "curl" }, { value: "python", label: "Python" }];

/** request: {file: its name, fields}. */
export function FormSnippets({ request }) {
  const [language, setLanguage] = useState("curl");
  const text = { curl, python }[language](request);
  return html`<section class="snippets" aria-label="This request as code">
    <div class="row between">
      <${Segmented} label="Language" value=${language} options=${LANGUAGES} onChange=${setLanguage} />
      <${Button} icon="copy" onClick=${() => copy(text, `Copied as ${language === "curl" ? "curl" : "Python"}`)}>Copy<//>
    </div>
    <pre tabindex="0"><code>${text}</code></pre>
  </section>`;
}
