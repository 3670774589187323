"""Output of commands: results go to standard output, all other messages to standard error."""

import json
import re
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Prints a table. In a pipe or a file, its columns are separated by tabs and nothing is truncated.

    In a terminal, the first column is never truncated, so that it can be copied.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for row in [columns, *rows]:
            typer.echo("\t".join(re.sub(r"[\t\r\n]+", " ", cell) for cell in row))
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*map(Text, row))  # Text, because brackets in a string would be markup
    console.print(table, crop=False)


def note(message: str) -> None:
    """Prints a message that is not part of the result."""
    typer.echo(message, err=True)
