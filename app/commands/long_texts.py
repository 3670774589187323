"""Options of commands for texts that are longer than the model reads."""

from enum import StrEnum
from typing import Annotated

import typer


class OverflowChoice(StrEnum):
    """The ways of reading a text that is too long."""

    WINDOWS = "windows"


Truncate = Annotated[bool, typer.Option("--truncate", help="Truncate texts that are too long.")]
Overflow = Annotated[
    OverflowChoice | None,
    typer.Option("--overflow", help="windows: read a text that is too long in windows that overlap."),
]
Stride = Annotated[
    int | None,
    typer.Option("--stride", min=0, help="Tokens that neighbouring windows have in common; by default, half of one."),
]
