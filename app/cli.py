"""`cloze`: the command line. The commands are implemented in app/commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from app import __version__
from app.commands import files, jobs, keys, models
from app.commands.audit import audit
from app.commands.classify import classify
from app.commands.embed import embed
from app.commands.evaluate import evaluate
from app.commands.predict import predict
from app.commands.pretrain import pretrain
from app.commands.rerank import rerank
from app.commands.score import score
from app.commands.sweep import app as sweeps
from app.commands.sweep import sweep
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
app.command()(classify)
app.command()(score)
app.command()(rerank)
app.command()(pretrain)
app.command()(evaluate)
app.command()(sweep)
app.command()(audit)
app.add_typer(jobs.app, name="jobs")
app.add_typer(sweeps, name="sweeps")
app.add_typer(files.app, name="files")
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address, instead of CLOZE_HOST.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port, instead of CLOZE_PORT.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Number of workers, instead of CLOZE_WORKERS.", min=0)] = None,
) -> None:
    """Run the API with an embedded Redis and workers. Ctrl-C stops them all.

    If CLOZE_REDIS_URL is set, only the API runs, and workers are started with `cloze worker`.
    """
    from app.commands.serve import serve as run

    given = {"host": host, "port": port, "workers": workers}
    run(Settings().model_copy(update={key: value for key, value in given.items() if value is not None}))


@app.command()
def worker() -> None:
    """Run one worker, for the Redis at CLOZE_REDIS_URL or the server that uses CLOZE_VAR_DIR."""
    from app.worker.__main__ import main as run

    run()


@app.command()
def backup(target: Annotated[Path, typer.Argument(help="The tar file to write.")]) -> None:
    """Back up jobs, uploads and models of the server on CLOZE_VAR_DIR or CLOZE_REDIS_URL, which may run."""
    from app.commands.backup import backup as run

    run(Settings(), target)


@app.command()
def restore(source: Annotated[Path, typer.Argument(help="The tar file of a backup.")]) -> None:
    """Restore a backup to a new CLOZE_VAR_DIR and CLOZE_MODEL_STORE, and to a Redis without records."""
    from app.commands.backup import restore as run

    run(Settings(), source)


@app.callback(invoke_without_command=True)
def show_version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line. Errors are printed in one line on standard error, with exit code 1.

    Where the reader of standard output has read enough, as in `cloze … | head -1`, it ends as if it had succeeded.
    """
    try:
        app()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer ends with code 1
            sys.exit(0)
        raise
    except AppError as error:
        typer.echo(f"cloze: {error.message}", err=True)
        sys.exit(1)
    except OSError as error:  # such as a folder that is not writable
        known = full_disk(error)
        typer.echo(f"cloze: {known.message if known else error}", err=True)
        sys.exit(1)
    except ValidationError as error:  # only Settings are validated here
        for problem in error.errors():
            # The message of a rule over several settings names them itself.
            where = "".join(f"CLOZE_{str(name).upper()}: " for name in problem["loc"][:1])
            typer.echo(f"cloze: {where}{problem['msg']}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
