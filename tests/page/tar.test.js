import "./browser.js";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { packFolder } from "../../app/web/static/core/tar.js";

const chosen = (path, text) => Object.assign(new File([text], "name"), { webkitRelativePath: path });
const LONG = `${"long/".repeat(30)}name.txt`;

// tests/commands/test_pretrain.py has the same files and the same digest.
const DIGEST = "add5962827a0bc0544d11762259e4277e62b868ee980cfd66ad24bd2b89e98b9";

test("a folder is packed to the bytes that the command line makes of it", async () => {
  const files = [
    chosen("data/b/two.txt", "two"),
    chosen("data/.hidden", "no"),
    chosen("data/größe.txt", "x".repeat(512)),
    chosen(`data/${LONG}`, "deep"),
    chosen("data/b.txt", "one"),
  ];
  const { file, count, hidden } = packFolder(files);
  assert.deepEqual([file.name, count, hidden], ["data.tar", 4, 1]);
  const bytes = Buffer.from(await file.arrayBuffer());
  assert.equal(createHash("sha256").update(bytes).digest("hex"), DIGEST);
});

test("a folder of hidden files alone gives no archive", () => {
  assert.equal(packFolder([chosen("data/.hidden/a", "no")]).file, null);
});
