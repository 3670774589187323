import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, requestFor, standing } from "../../app/web/static/views/fill/predictions.js";
import { split } from "../../app/web/static/views/fill/words.js";

const text = "The cat chased the dog";
const words = split(text);
const candidates = (...tokens) => tokens.map((token_str, at) => ({ token: at, token_str, score: 0.5 / (at + 1) }));

test("nothing masked is no request", () => {
  assert.equal(requestFor("m", text, words, [], {}), null);
});

test("several open masks are asked for as sequences too", () => {
  const { path, body } = requestFor("m", text, words, [1, 4], {});
  assert.equal(path, "/v1/fill-mask");
  assert.equal(body.input, "The [MASK] chased the [MASK]");
  assert.equal(body.num_sequences, 5);
});

test("a mask that the reader has filled is asked for by itself", () => {
  const { body } = requestFor("m", text, words, [1, 4], { 1: "fox" });
  assert.deepEqual(body.input, ["The fox chased the [MASK]", "The [MASK] chased the [MASK]"]);
  assert.equal("num_sequences" in body, false);
});

test("the reader's word stands before the best sequence, and that before the best candidate", () => {
  const masks = [words[1], words[4]];
  const answer = {
    model: "m",
    data: [
      {
        masks: [{ candidates: candidates("wolf") }, { candidates: candidates("deer") }],
        sequences: [
          {
            log_prob: -9,
            pseudo_log_prob: Math.log(0.25),
            sequence: "…",
            tokens: [{ token_str: " lion" }, { token_str: " deer" }],
          },
        ],
      },
    ],
  };
  const arranged = arrange(answer, { masks, picks: {} });
  assert.equal(arranged.sequences[0].share, 0.25);
  assert.equal(standing(arranged, masks, {}).word(1), "lion");
  assert.equal(standing(arranged, masks, { 1: "fox" }).text(text, words, [1, 4]), "The fox chased the deer");
  assert.equal(standing({ ...arranged, sequences: [] }, masks, {}).word(1), "wolf");
  assert.equal(standing(null, masks, {}).text(text, words, [1, 4]), null);
});

test("candidates of a picked mask come from the input in which it is open", () => {
  const masks = [words[1], words[4]];
  const answer = {
    model: "m",
    data: [
      { masks: [{ candidates: candidates("deer") }] },
      { masks: [{ candidates: candidates("wolf") }, { candidates: candidates("none") }] },
    ],
  };
  const { candidates: found } = arrange(answer, { masks, picks: { 1: "fox" } });
  assert.equal(found[1][0].token_str, "wolf");
  assert.equal(found[4][0].token_str, "deer");
});

test("sequences show the figure that they are ranked by", () => {
  const masks = [words[1], words[4]];
  const sequence = (log_prob, pseudo_log_prob) => ({
    log_prob,
    pseudo_log_prob,
    sequence: `${pseudo_log_prob}`,
    tokens: [{ token_str: "a" }, { token_str: "b" }],
  });
  const open = [{ candidates: candidates("a") }, { candidates: candidates("b") }];
  const data = [{ masks: open, sequences: [sequence(-2, -1), sequence(-1.5, -3)] }];
  const shares = arrange({ model: "m", data }, { masks, picks: {} }).sequences.map((each) => each.share);
  assert.deepEqual(shares, [Math.exp(-1), Math.exp(-3)]);
});

test("each mask keeps its entropy, where the server measured one", () => {
  const masks = [words[1], words[4]];
  assert.equal(requestFor("m", text, words, [1], {}).body.entropy, true);
  const data = [{ masks: [{ candidates: candidates("a"), entropy: 1.5 }, { candidates: candidates("b") }] }];
  const arranged = arrange({ model: "m", data }, { masks, picks: {} });
  assert.deepEqual(standing(arranged, masks, {}).entropies, { 1: 1.5 });
});
