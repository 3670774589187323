// Tokens: shows how a stored model, or the tokenizer that a job would train, divides a text, and what it loses.
import { ask } from "../../core/api.js";
import { latest } from "../../core/ask.js";
import { number, percent } from "../../core/format.js";
import { html, useEffect, useSignalEffect } from "../../core/html.js";
import { choose, models } from "../../core/models.js";
import { route } from "../../core/router.js";
import { Button, Details, Segmented, TextArea } from "../../ui/controls.js";
import { ModelSelect } from "../../ui/model-select.js";
import { Snippets } from "../../ui/snippets.js";
import { ErrorNote, Waiting } from "../../ui/status.js";
import { SchemaField, standard } from "../jobs/fields.js";
import { loadMethods, methods, methodsError } from "../jobs/methods.js";
import { describe, parse } from "../jobs/schema.js";
import { charactersPerToken, describeLosses, kindsOf, optionsOf, piecesOf, requestFor } from "./pieces.js";
import * as state from "./state.js";

const TYPING = 350; // ms without a key until the server is asked
const MOST = 2000; // tokens that are shown
const SOURCES = [
  { value: "model", label: "A stored model" },
  { value: "new", label: "A new tokenizer" },
];

const answer = latest();
const readers = () => (models.value ?? []).filter((model) => model.modality === "text");

/** The fields of a new tokenizer, for the kind that is chosen; empty until the server has described them. */
function fieldsOf() {
  const method = methods.value?.find((each) => each.hyperparameters.properties.kmer_length);
  if (!method) return [];
  const kind = state.values.value.tokenizer || "auto";
  return optionsOf(method.hyperparameters.properties, kind).map(([name, property]) => {
    const field = describe(name, property);
    return name === "tokenizer" ? { ...field, options: kindsOf(field.options), hint: "" } : field;
  });
}

/** {options, errors} of a new tokenizer, as typed. */
function typed(fields) {
  const found = fields.map((field) => [field.name, parse(field, state.values.value[field.name])]);
  return {
    options: Object.fromEntries(
      found.filter(([, { value }]) => value !== undefined).map(([name, { value }]) => [name, value]),
    ),
    errors: Object.fromEntries(found.filter(([, { error }]) => error).map(([name, { error }]) => [name, error])),
  };
}

/** The request for what is shown; null while something is missing or wrong. */
function request() {
  const text = state.text.value;
  const chosen = choose(readers(), state.model.value);
  const isNew = state.source.value === "new";
  const { options, errors } = typed(isNew ? fieldsOf() : []);
  if (!text.trim() || Object.keys(errors).length || (isNew ? !methods.value : !chosen)) return null;
  const from = {
    model: chosen?.id,
    options: isNew ? options : null,
    files: state.files.value,
    sample: state.sample.value,
  };
  return { path: "/v1/tokenize", body: requestFor(from, text) };
}

export function TokensView() {
  useEffect(() => void loadMethods(), []);
  useSignalEffect(() => {
    route.value;
    state.read();
  });
  useSignalEffect(() => {
    const next = request();
    if (next) void answer.run((signal) => tokenize(next, signal), answer.value.peek() ? TYPING : 0);
    else answer.clear();
    state.write();
  });
  return html`<div class="view">
    <div class="view-head"><div><h1>Tokens</h1>
      <p class="lead">See how a text is divided into tokens, and what is lost of it.</p></div></div>
    <${Segmented} label="Tokenizer of" value=${state.source.value} options=${SOURCES}
      onChange=${(next) => (state.source.value = next)} />
    ${state.source.value === "model" ? html`<${Stored} />` : html`<${NewTokenizer} />`}
    <${TextArea} label="Text" value=${state.text.value} onInput=${(next) => (state.text.value = next)}
      spellcheck="false" placeholder="Type or paste a text" />
    <${Answer} />
  </div>`;
}

async function tokenize(next, signal) {
  const { data, tokenizer } = await ask(next.path, next.body, { signal });
  return { text: next.body.input, tokens: data[0].tokens, tokenizer };
}

function Stored() {
  const among = readers();
  const chosen = choose(among, state.model.value);
  if (models.value === null) return html`<${Waiting} />`;
  if (!chosen) return html`<p class="muted">No model reads text yet. Try a new tokenizer.</p>`;
  return html`
    <${ModelSelect} models=${among} value=${chosen.id} onChange=${(id) => (state.model.value = id)} />`;
}

function NewTokenizer() {
  if (methodsError.value) return html`<${ErrorNote} error=${methodsError.value} retry=${loadMethods} />`;
  const fields = fieldsOf();
  const { errors } = typed(fields);
  const own = answer.error.value;
  if (own?.param) errors[own.param.split(".").at(-1)] ??= own.message;
  return html`<div class="stack">
    <div class="field-grid">${fields.map(
      (field) => html`
      <${SchemaField} key=${field.name} field=${field} value=${state.values.value[field.name] ?? ""}
        error=${errors[field.name]} standard=${standard(field)}
        onInput=${(next) => (state.values.value = { ...state.values.value, [field.name]: next })} />`,
    )}</div>
    ${
      state.files.value.length
        ? html`<p class="small muted">It is trained on the beginning of ${state.files.value.join(", ")}.
          <${Button} kind="quiet" class="small" onClick=${() => (state.files.value = [])}>Use a sample<//></p>`
        : html`
        <${TextArea} label="Sample to train on" value=${state.sample.value} spellcheck="false"
          onInput=${(next) => (state.sample.value = next)} rows=${3}
          hint="One text a line. Without a sample the tokenizer is trained on the text below." />`
    }
  </div>`;
}

function Answer() {
  const found = answer.value.value;
  const next = request();
  if (!state.text.value.trim()) return html`<p class="muted">Type a text above to begin.</p>`;
  return html`<div class="stack tokens-answer" aria-busy=${answer.pending.value}>
    ${answer.error.value && html`<${ErrorNote} error=${answer.error.value} />`}
    ${answer.pending.value && !found && html`<${Waiting}>Dividing the text…<//>`}
    ${found && !answer.error.value && html`<${Pieces} found=${found} /><${Facts} found=${found} />`}
    ${next && html`<${Details} summary="This request as code"><${Snippets} request=${next} /><//>`}
  </div>`;
}

function Pieces({ found }) {
  const pieces = piecesOf(found.text, found.tokens);
  return html`<div class="panel pieces" role="region" aria-label="Tokens" tabindex="0">
    ${pieces
      .slice(0, MOST)
      .map(({ kind, text, id }, at) =>
        kind === "gap"
          ? html`<span class="piece-gap" title="belongs to no token">${text}</span>`
          : html`<span class=${`piece ${kind} hue-${at % 4}`} title=${`id ${id}`}>${visible(text, kind)}</span>`,
      )}
    ${pieces.length > MOST && html`<p class="small muted">Only the first ${MOST} tokens are shown.</p>`}</div>`;
}

/** A token as it is shown: white space has signs, and a byte of a letter that has begun has a dot. */
const visible = (text, kind) =>
  kind === "part" ? "·" : text.replaceAll("\n", "↵\n").replaceAll("\t", "⇥").replaceAll(" ", "␣");

function Facts({ found: { text, tokens, tokenizer } }) {
  const facts = [
    ["Tokens", number(tokens.filter((token) => !token.special).length)],
    ["Characters a token", number(charactersPerToken(text, tokens))],
    ["Unknown", tokenizer.unknown_share ? percent(tokenizer.unknown_share) : "0%"],
    ["Vocabulary", number(tokenizer.vocabulary)],
  ];
  return html`<section class="panel stack" aria-label="Figures" aria-live="polite">
    <dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <p class="small">${tokenizer.type !== "base" && html`<b>${tokenizer.type}</b>: `}${tokenizer.reason}.
      A mask replaces a ${tokenizer.unit}.</p>
    <p class=${`small ${tokenizer.lossless ? "muted" : ""}`}>What decoding changes: ${describeLosses(tokenizer)}.</p>
  </section>`;
}
