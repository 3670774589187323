"""A job's text is one word of 8 MB: a new tokenizer is trained on it, and it is encoded.

Right: the cost grows with the length and not with its square, and no token is unknown. Text of which nothing repeats
costs more than prose. Each measurement ends after `LIMIT` seconds.

    python -m benchmarks.adversary.long_words [megabytes …]
"""

import random
import subprocess
import sys
import time

import numpy as np

LIMIT = 100.0
WORDS = {"letters": "acgt", "thai": "กขคงจชซดตถทนบปผพมยรลวสหอาะเแโ", "digits": "0123456789", "marks": "-._"}


def main() -> None:
    sizes = [float(each) for each in sys.argv[1:]] or [1, 8]
    for tokenizer in ("wordpiece", "bpe"):
        for kind in ("prose", *WORDS):
            for size in sizes:
                command = [sys.executable, "-m", __spec__.name, "-", tokenizer, kind, str(size)]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
                    shown = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
                except subprocess.TimeoutExpired:
                    shown = f"more than {LIMIT:.0f} s"
                print(f"{tokenizer}, {size:g} MB of {kind}: {shown}", flush=True)


def measure(kind: str, text: str) -> str:
    from app.methods.tokenizers import TokenizerOptions
    from app.modalities.text.new_tokenizers.kinds import train_tokenizer
    from app.training.data.encoding import make_encoder

    started = time.perf_counter()
    tokenizer = train_tokenizer([text], TokenizerOptions(tokenizer=kind, vocab_size=4096), 128)
    trained = time.perf_counter()
    encoded = make_encoder(tokenizer.backend_tokenizer, np.dtype(np.uint16))([text])
    seconds = time.perf_counter() - trained
    tokens = np.frombuffer(encoded.tokens, np.uint16)
    unknown = float((tokens == tokenizer.unk_token_id).mean()) if len(tokens) else 1.0
    return (
        f"training {trained - started:.1f} s, encoding {seconds:.1f} s, {len(tokens):,} tokens, {unknown:.1%} unknown,"
        f" longest {max(map(len, tokenizer.get_vocab()))} characters"
    )


def text_of(kind: str, characters: int) -> str:
    rng = random.Random(0)
    if kind == "prose":
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 9))) for _ in range(5000)]
        return " ".join(rng.choices(words, k=characters // 6))
    return "".join(rng.choices(WORDS[kind], k=characters))


if __name__ == "__main__":
    if sys.argv[1:2] == ["-"]:
        print(measure(sys.argv[2], text_of(sys.argv[3], int(float(sys.argv[4]) * 1e6))))
    else:
        main()
