import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf } from "../../app/web/static/views/reconstruct/media-kind.js";

const kind = (content, type = "") => kindOf(new Blob([Buffer.from(content, "latin1")], { type }));

test("the type of a file tells its kind, or else its first bytes", async () => {
  assert.equal(await kind("", "audio/ogg"), "audio");
  assert.equal(await kind("", "video/mp4"), "video");
  assert.equal(await kind("\x89PNG\r\n", "image/png"), "image");
  assert.equal(await kind("RIFF....WAVEfmt "), "audio");
  assert.equal(await kind("OggS"), "audio");
  assert.equal(await kind("....ftypisom"), "video");
  assert.equal(await kind("anything"), "image");
});

test("an animated picture is a video", async () => {
  const frame = "\x21\xf9\x04....";
  assert.equal(await kind(`GIF89a${frame}`, "image/gif"), "image");
  assert.equal(await kind(`GIF89a${frame}${frame}`, "image/gif"), "video");
  assert.equal(await kind("RIFF....WEBPVP8X....ANIM", "image/webp"), "video");
  assert.equal(await kind("\x89PNG....acTL", "image/png"), "video");
});
