"""Names of fields in the dialects of other services."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.errors import AppError


@contextmanager
def renaming(names: Mapping[str, str]) -> Iterator[None]:
    """Renames the fields of AppErrors that are raised within. names: the dialect's names, by Cloze's own."""
    try:
        yield
    except AppError as error:
        name = names.get(error.param or "")
        if name is not None:
            error.message = error.message.replace(f"`{error.param}`", f"`{name}`")
            error.param = name
        raise
