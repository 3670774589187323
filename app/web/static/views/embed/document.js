// A document in chunks, and how similar each is to a question.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { plural } from "../../core/format.js";
import { html, signal, useSignalEffect } from "../../core/html.js";
import { Details, Slider, Switch, TextArea, TextField } from "../../ui/controls.js";
import { Snippets } from "../../ui/snippets.js";
import { Empty, ErrorNote, Waiting } from "../../ui/status.js";
import { similarities } from "./vectors.js";

const EXAMPLE = [
  "Lions live in groups in the open savanna. They rest for most of the day and hunt at night, when the air is cool.",
  "A group shares its prey. The first astronauts flew in small capsules. Today they live for months on a station that",
  "circles the Earth every ninety minutes. Bread needs flour, water, salt and time. A hot oven gives it a dark crust.",
].join(" ");
const TYPING = 400; // ms

const text = signal(EXAMPLE);
const question = signal("Which animals hunt together?");
const size = signal(24);
const late = signal(false);
const answer = latest();

const requestFor = (model) => ({
  path: "/v1/embeddings",
  body: {
    model: model.id,
    input: text.value,
    output: "chunks",
    chunk_size: size.value,
    ...(late.value ? { late_chunking: true } : {}),
  },
});

function send(model, delay) {
  const { path, body } = requestFor(model);
  const asked = question.value.trim();
  if (!body.input.trim()) return answer.clear();
  return answer.run(async (signal) => {
    const chunks = await ask(path, body, { signal });
    const own = asked ? await ask(path, { model: model.id, input: asked, truncate: true }, { signal }) : null;
    const vectors = chunks.data.map((chunk) => chunk.embedding);
    const cosines = own ? similarities([own.data[0].embedding, ...vectors])[0].slice(1) : null;
    return { chunks: chunks.data, cosines };
  }, delay);
}

export function DocumentChunks({ model }) {
  useSignalEffect(() => {
    void send(model, answer.value.peek() ? TYPING : 0);
  });
  return html`<div class="embed-layout">
    <div class="stack">
      <${TextArea} label="Document" value=${text.value} rows=${12} onInput=${(value) => (text.value = value)} />
      <${TextField} label="Question" value=${question.value} onInput=${(value) => (question.value = value)} />
      <${Slider} label="Tokens of a chunk" value=${size.value} min=${8} max=${256} step=${8}
        onInput=${(value) => (size.value = value)} />
      <${Switch} label="Late chunking" checked=${late.value} onChange=${(value) => (late.value = value)} />
      <p class="small muted">With late chunking, the words of a chunk see the whole document.</p>
    </div>
    <${Chunks} model=${model} />
  </div>`;
}

function Chunks({ model }) {
  const { value, error, pending } = answer;
  const shown = value.value;
  if (error.value) return html`<${ErrorNote} error=${error.value} retry=${() => send(model, 0)} />`;
  if (!shown && pending.value) return html`<${Waiting}>Embedding…<//>`;
  if (!shown) return html`<${Empty} title="No document yet" text="Write a text of several sentences." />`;
  const best = shown.cosines && Math.max(...shown.cosines);
  return html`<div class=${`stack ${pending.value ? "stale" : ""}`} aria-busy=${pending.value}>
    <section class="panel stack" aria-label="Chunks">
      <div><h2>Chunks</h2><p class="small muted">${plural(shown.chunks.length, "chunk")}${
        shown.cosines ? ", with the cosine of each and the question" : ""
      }.</p></div>
      <ol class="chunks">${shown.chunks.map((chunk, at) => {
        const cosine = shown.cosines?.[at];
        return html`<li class=${cosine !== undefined && cosine === best ? "looked" : ""}>
          <span class="chunk-text">${chunk.text}</span>
          <span class="small muted number">${chunk.start}–${chunk.end}${
            cosine === undefined ? "" : ` · ${cosine.toFixed(3).replace("-", "−")}`
          }</span>
          ${
            cosine !== undefined && html`<i aria-hidden="true" style=${{ width: `${Math.max(cosine, 0) * 100}%` }}></i>`
          }
        </li>`;
      })}</ol>
    </section>
    <${Details} summary="This request as code"><${Snippets} request=${requestFor(model)} /><//>
  </div>`;
}
