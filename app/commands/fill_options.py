"""Options of `cloze predict`."""

from enum import StrEnum
from typing import Annotated

import typer

from app.types import FillOrder, FillStrategy, Normalization


class Cut(StrEnum):
    """The side at which a text is truncated; or both, around its masks."""

    LEFT = "left"
    RIGHT = "right"
    AROUND = "around"


TopK = Annotated[int, typer.Option("--top-k", "-k", min=1, help="Candidates for each mask.")]

FillTargets = Annotated[list[str] | None, typer.Option("--target", help="Score only these words; may be repeated.")]

Allow = Annotated[
    list[str] | None, typer.Option("--allow", help="The only words that may be candidates; may be repeated.")
]

Ban = Annotated[list[str] | None, typer.Option("--ban", help="Words that may be no candidates; may be repeated.")]

CandidatePattern = Annotated[
    str | None, typer.Option("--pattern", help="RE2 regular expression that candidates have to match.")
]

WordsOnly = Annotated[
    bool, typer.Option("--words-only", help="Leave out parts of words, punctuation and special tokens.")
]

NoRepeats = Annotated[bool, typer.Option("--no-repeats", help="Leave out words that the text already contains.")]

Renormalize = Annotated[
    bool,
    typer.Option("--renormalize", help="Rescale the scores of each mask to sum to 1 over the targets or filters."),
]

Temperature = Annotated[float, typer.Option("--temperature", help="Divisor of the logits.")]

Sample = Annotated[
    int, typer.Option("--sample", min=0, max=1000, help="Number of tokens to draw for each mask, by --seed.")
]

Entropy = Annotated[bool, typer.Option("--entropy", help="Print the entropy of each mask in nats.")]

WholeWords = Annotated[bool, typer.Option("--whole-words", help="Answer with whole words of up to 4 tokens.")]

RankWords = Annotated[
    Normalization, typer.Option(help="Rank words of several tokens by score (none) or score per token (length).")
]

Sequences = Annotated[
    int, typer.Option("--sequences", "-n", min=0, max=20, help="Fill all masks together, in the N best ways.")
]

Decode = Annotated[FillStrategy | None, typer.Option(help="Way of filling all masks together; by default, beam.")]

Order = Annotated[FillOrder, typer.Option(help="Order in which masks are filled together.")]

Seed = Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of --sample and of --decode gibbs.")]

CutSide = Annotated[
    Cut, typer.Option("--truncation-side", help="Side that is cut off; around keeps the part around the masks.")
]
