import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";

const { withOwnAddress } = await import("../../app/web/static/core/connection.js");

test("examples of a card have the address of the page, with its prefix, and other addresses stay", () => {
  const card = "curl http://127.0.0.1:8000/v1/fill-mask; see http://127.0.0.1:8000/else";
  assert.equal(
    withOwnAddress(card, "https://models.lab/cloze/"),
    "curl https://models.lab/cloze/v1/fill-mask; see http://127.0.0.1:8000/else",
  );
  assert.match(withOwnAddress(card), /^curl http:\/\/cloze\.test\/v1\/fill-mask;/);
});
