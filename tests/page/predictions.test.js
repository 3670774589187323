import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, requestFor, standing } from "../../app/web/static/views/fill/predictions.js";
import { masksOf, split } from "../../app/web/static/views/fill/words.js";

const text = "The cat chased the dog";
const words = split(text);
const BOTH = { 1: true, 4: true };
const INPUT = "The [MASK] chased the [MASK]";
const candidates = (...tokens) => tokens.map((token_str, at) => ({ token: at, token_str, score: 0.5 / (at + 1) }));

test("nothing masked is no request", () => {
  assert.equal(requestFor("m", text, words, {}, {}), null);
});

test("several open masks are asked for as sequences too", () => {
  const { path, body } = requestFor("m", text, words, BOTH, {});
  assert.equal(path, "/v1/fill-mask");
  assert.equal(body.input, "The [MASK] chased the [MASK]");
  assert.equal(body.num_sequences, 5);
});

test("a mask that the reader has filled is asked for by itself", () => {
  const { body } = requestFor("m", text, words, BOTH, { 1: "fox" });
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
            lengths: [1, 1],
            tokens: [{ token_str: " lion" }, { token_str: " deer" }],
          },
        ],
      },
    ],
  };
  const arranged = arrange(answer, { masks, picks: {}, input: INPUT });
  assert.equal(arranged.sequences[0].share, 0.25);
  assert.equal(standing(arranged, masks, {}).word(1), "lion");
  assert.equal(standing(arranged, masks, { 1: "fox" }).text(text, words, BOTH), "The fox chased the deer");
  assert.equal(standing({ ...arranged, sequences: [] }, masks, {}).word(1), "wolf");
  assert.equal(standing(null, masks, {}).text(text, words, BOTH), null);
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
  const { candidates: found } = arrange(answer, {
    masks,
    picks: { 1: "fox" },
    input: ["The fox chased the [MASK]", INPUT],
  });
  assert.equal(found[1][0].token_str, "wolf");
  assert.equal(found[4][0].token_str, "deer");
});

test("sequences show the figure that they are ranked by", () => {
  const masks = [words[1], words[4]];
  const sequence = (log_prob, pseudo_log_prob) => ({
    log_prob,
    pseudo_log_prob,
    sequence: `${pseudo_log_prob}`,
    lengths: [1, 1],
    tokens: [{ token_str: "a" }, { token_str: "b" }],
  });
  const open = [{ candidates: candidates("a") }, { candidates: candidates("b") }];
  const data = [{ masks: open, sequences: [sequence(-2, -1), sequence(-1.5, -3)] }];
  const shares = arrange({ model: "m", data }, { masks, picks: {}, input: INPUT }).sequences.map((each) => each.share);
  assert.deepEqual(shares, [Math.exp(-1), Math.exp(-3)]);
});

test("each mask keeps its entropy, where the server measured one", () => {
  const masks = [words[1], words[4]];
  assert.equal(requestFor("m", text, words, { 1: true }, {}).body.entropy, true);
  const data = [{ masks: [{ candidates: candidates("a"), entropy: 1.5 }, { candidates: candidates("b") }] }];
  const arranged = arrange({ model: "m", data }, { masks, picks: {}, input: INPUT });
  assert.deepEqual(standing(arranged, masks, {}).entropies, { 1: 1.5 });
});

test("a text with a span is asked for jointly, and its words have the share of a token", () => {
  const masked = { 1: "1-2" };
  const { body } = requestFor("m", text, words, masked, {});
  assert.equal(body.input, "The [MASK:1-2] chased the dog");
  assert.equal(body.num_sequences, 5);
  assert.equal("entropy" in body, false);
  const masks = masksOf(words, masked);
  const sequence = (sequence, score_per_token, ...tokens) => ({
    sequence,
    score_per_token,
    log_prob: -1,
    pseudo_log_prob: -9,
    tokens: tokens.map((token_str) => ({ token_str })),
    lengths: [tokens.length],
  });
  const sequences = [
    sequence("The big cat chased the dog", 0.5, "big", "cat"),
    sequence("The lion chased the dog", 0.25, "lion"),
  ];
  const answer = { model: "m", data: [{ masks: [{ candidates: [] }], sequences }] };
  const about = { masks, picks: {}, input: body.input };
  const { candidates: found } = arrange(answer, about);
  assert.deepEqual(found[1], [
    { token: null, token_str: "big cat", score: 0.5 },
    { token: null, token_str: "lion", score: 0.25 },
  ]);
  assert.equal(standing(arrange(answer, about), masks, {}).text(text, words, masked), "The big cat chased the dog");
  // Where the reader has filled all masks, the request is the same, so that the other words stay.
  assert.deepEqual(requestFor("m", text, words, masked, { 1: "lion" }).body, body);
});

test("beside a mask that the reader has filled, a span is asked for once", () => {
  const masked = { 1: true, 4: "1-2" };
  const { body } = requestFor("m", text, words, masked, { 1: "fox" });
  assert.equal(body.input, "The fox chased the [MASK:1-2]");
  const sequences = [{ sequence: "The fox chased the dog", tokens: [{ token_str: "dog" }], lengths: [1] }];
  const answer = { model: "m", data: [{ masks: [{ candidates: [] }], sequences }] };
  const found = arrange(answer, { masks: masksOf(words, masked), picks: { 1: "fox" }, input: body.input });
  assert.deepEqual(
    [found.candidates[1], found.candidates[4]].map((each) => each.map((one) => one.token_str)),
    [["fox"], ["dog"]],
  );
});
