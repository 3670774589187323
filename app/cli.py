"""`cloze`: the command line. Each command's work is in app/commands; this file names them."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from app import __version__
from app.commands import jobs, models
from app.commands.predict import embed, predict, score
from app.commands.pretrain import pretrain
from app.errors import AppError
from app.settings import Settings
from app.system.disk_space import full_disk

app = typer.Typer(
    name="cloze",
    help="Serve and pretrain masked-prediction models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(predict)
app.command()(embed)
app.command()(score)
app.command()(pretrain)
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Instead of CLOZE_HOST.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Instead of CLOZE_PORT.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Instead of CLOZE_WORKERS.", min=0)] = None,
) -> None:
    """Run the API with an embedded Redis and workers; Ctrl-C stops them all.

    With CLOZE_REDIS_URL set, run the API alone; `cloze worker` then runs anywhere.
    """
    from app.commands.serve import serve as run

    given = {"host": host, "port": port, "workers": workers}
    run(Settings().model_copy(update={key: value for key, value in given.items() if value is not None}))


@app.command()
def worker() -> None:
    """Run one worker: beside CLOZE_REDIS_URL, or as one more for the server on CLOZE_VAR_DIR."""
    from app.worker.__main__ import main as run

    run()


@app.callback(invoke_without_command=True)
def show_version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The entry point: an AppError is one line on standard error and exit code 1."""
    try:
        app()
    except AppError as error:
        typer.echo(f"cloze: {error.message}", err=True)
        sys.exit(1)
    except OSError as error:  # a folder that cannot be written, say
        known = full_disk(error)
        typer.echo(f"cloze: {known.message if known else error}", err=True)
        sys.exit(1)
    except ValidationError as error:  # only Settings are validated here
        for problem in error.errors():
            # A rule over several settings has no place, and names them itself.
            where = "".join(f"CLOZE_{str(name).upper()}: " for name in problem["loc"][:1])
            typer.echo(f"cloze: {where}{problem['msg']}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
