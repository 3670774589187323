// The shown request as code. It sends the file as a form, unlike the requests of ui/snippets.js.
import { address } from "../../core/connection.js";
import { html } from "../../core/html.js";
import { key } from "../../core/keys.js";
import { Snippets } from "../../ui/snippets.js";

const quoted = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;
const sent = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function curl({ fields, file }) {
  const lines = [`curl ${quoted(address("/v1/reconstruct"))}`];
  if (key.value !== null) lines.push(`-H "authorization: Bearer $CLOZE_API_KEY"`);
  lines.push(
    `-F ${quoted(`file=@${file}`)}`,
    ...Object.entries(fields).map(([name, value]) => `-F ${quoted(`${name}=${sent(value)}`)}`),
  );
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
    ...(key.value === null ? [] : ['        headers={"authorization": f"Bearer {os.environ[\'CLOZE_API_KEY\']}"},']),
    `        data={${data.join(", ")}},`,
    '        files={"file": file},',
    "        timeout=60,",
    "    )",
    "answer = response.raise_for_status().json()",
    'print(answer["psnr"], answer["baselines"])',
  ].join("\n");
}

/** request: {file: its name, fields}. */
export const FormSnippets = ({ request }) => html`<${Snippets} request=${request} writers=${{ curl, python }} />`;
