"""Options of `cloze score`."""

from typing import Annotated

import typer

ScoredTexts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT...",
        show_default=False,
        help="Texts, or files whose lines are texts; - reads the lines of standard input.",
    ),
]

Method = Annotated[
    str | None,
    typer.Option(
        help="Method: within-word-l2r (default), or original, which masks each token alone; for variants "
        "masked-marginals (default) or wild-type-marginals."
    ),
]

ExpectedTopK = Annotated[
    int,
    typer.Option("--top-k", "-k", min=0, max=20, help="Number of candidates that the model expected in its place."),
]

EachToken = Annotated[
    bool, typer.Option("--tokens", help="Print one line for each token instead of one for each text.")
]

PairsFile = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="FILE",
        help="Compare pairs instead of texts: lines of JSON or a CSV or TSV file with good and bad, - for standard "
        "input.",
    ),
]

Candidates = Annotated[
    list[str] | None,
    typer.Option("--candidate", "--candidates", help="Rank this text in place of the [MASK]; may be repeated."),
]

RankFigure = Annotated[
    str | None,
    typer.Option(
        "--rank-by", help="Figure that compares pairs and candidates: log_likelihood (default), pseudo_perplexity."
    ),
]

VariantsFile = Annotated[
    str | None,
    typer.Option(
        "--variants",
        metavar="FILE",
        help="Score substitutions such as H24C or A1G:T3S in the texts, which are one sequence: the lines of a "
        "file, the column mutant of a CSV file, - for standard input, or all for every letter at every position.",
    ),
]

Offset = Annotated[
    int | None, typer.Option("--offset", min=0, help="Position of the first letter, for variants; 1 by default.")
]

Letters = Annotated[
    str | None, typer.Option("--letters", help="Letters of --variants all; by default all of the vocabulary.")
]
