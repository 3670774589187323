import "./browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { parser } from "../../app/web/static/core/events.js";

test("events are found however the text is cut", () => {
  const text = 'id: 7\nevent: job\ndata: {"a":\ndata: 1}\n\n: a comment\nretry: 250\r\ndata: 2\n\n';
  for (let length = 1; length <= text.length; length++) {
    const state = { id: null, retry: 1000 };
    const parse = parser(state);
    const events = [];
    for (let at = 0; at < text.length; at += length) events.push(...parse(text.slice(at, at + length)));
    assert.deepEqual(events, [
      { event: "job", data: { a: 1 }, id: "7" },
      { event: "message", data: 2, id: "7" },
    ]);
    assert.deepEqual(state, { id: "7", retry: 250 });
  }
});
