import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { link, parse } from "../../app/web/static/core/router.js";

test("an empty address is the first view", () => {
  for (const hash of ["", "#", "#/"]) assert.deepEqual(parse(hash), { view: "fill", segments: [], params: {} });
});

test("links lead to where they say", () => {
  const place = { view: "models", segments: ["a/b", "50%"], params: { text: "a & b=c?", tab: "log" } };
  assert.deepEqual(parse(link(place.view, place.segments, place.params)), place);
});

test("empty parameters are left out", () => {
  assert.equal(link("jobs", [], { a: null, b: undefined, c: "", d: 0 }), "#/jobs?d=0");
});

test("a stray percent sign is taken as it stands", () => {
  assert.deepEqual(parse("#/models/50%").segments, ["50%"]);
});
