// Markdown as components: nothing of it is ever read as HTML, and links lead to https or http only.
import { Fragment, html } from "../core/html.js";
import { lexer } from "../vendor/marked.js";

export function Markdown({ text }) {
  const body = text.replace(/^---\n[\s\S]*?\n---\n/, ""); // a model card's front matter is for machines
  return html`<div class="markdown">${lexer(body).map(block)}</div>`;
}

const inner = (token) => (token.tokens ? token.tokens.map(inline) : token.text);

function block(token) {
  switch (token.type) {
    case "heading":
      return html`<${`h${Math.min(token.depth + 2, 6)}`}>${inner(token)}<//>`; // h1 and h2 are the view's
    case "paragraph":
      return html`<p>${inner(token)}</p>`;
    case "text":
      return inner(token);
    case "code":
      return html`<pre tabindex="0"><code>${token.text}</code></pre>`;
    case "blockquote":
      return html`<blockquote>${token.tokens.map(block)}</blockquote>`;
    case "list":
      return html`<${token.ordered ? "ol" : "ul"}>
        ${token.items.map((item) => html`<li>${item.tokens.map(block)}</li>`)}<//>`;
    case "table":
      return html`<${Table} token=${token} />`;
    case "hr":
      return html`<hr />`;
    case "space":
    case "def":
      return null;
    default:
      return html`<p>${token.raw}</p>`; // HTML and whatever else there may be: as it was written
  }
}

function Table({ token }) {
  const headed = token.header.some((cell) => cell.text);
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label="Table"><table>
    ${headed && html`<thead><tr>${token.header.map((cell) => html`<th scope="col">${inner(cell)}</th>`)}</tr></thead>`}
    <tbody>
      ${token.rows.map(
        (row) => html`<tr>
        ${row.map((cell, at) => (at === 0 ? html`<th scope="row">${inner(cell)}</th>` : html`<td>${inner(cell)}</td>`))}
          </tr>`,
      )}</tbody>
  </table></div>`;
}

function inline(token) {
  switch (token.type) {
    case "strong":
      return html`<strong>${inner(token)}</strong>`;
    case "em":
      return html`<em>${inner(token)}</em>`;
    case "del":
      return html`<del>${inner(token)}</del>`;
    case "codespan":
      return html`<code>${token.text}</code>`;
    case "br":
      return html`<br />`;
    case "link":
      return /^https?:\/\//i.test(token.href)
        ? html`<a href=${token.href} rel="noopener noreferrer nofollow" target="_blank">${inner(token)}</a>`
        : html`<${Fragment}>${inner(token)}<//>`;
    case "image":
      return token.text; // a picture of another server would be a request to it
    case "text":
    case "escape":
      return inner(token);
    default:
      return token.raw;
  }
}
