import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../app/web/static/core/format.js";

const cases = {
  number: [
    [null, "–"],
    [1234.567, "1,234.57"],
    [-2, "−2"],
  ],
  percent: [
    [0.4213, "42%"],
    [0.09, "9.0%"],
    [0.0423, "4.2%"],
    [0.00423, "0.42%"],
    [0.00001, "<0.01%"],
  ],
  bytes: [
    [undefined, "–"],
    [0, "0 B"],
    [999, "999 B"],
    [1500, "1.5 kB"],
    [123_456_789, "123 MB"],
  ],
  duration: [
    [null, "–"],
    [1.25, "1.3 s"],
    [42, "42 s"],
    [200, "3 min 20 s"],
    [180, "3 min"],
    [7500, "2 h 5 min"],
  ],
};

for (const [name, pairs] of Object.entries(cases))
  test(name, () => {
    for (const [value, text] of pairs) assert.equal(format[name](value), text);
  });

test("plural", () => {
  assert.equal(format.plural(1, "text"), "1 text");
  assert.equal(format.plural(2000, "text"), "2,000 texts");
});
