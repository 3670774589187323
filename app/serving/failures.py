"""Errors of batches, as those who wait for their entries get them."""

import copy
import logging
from collections.abc import Iterable

from app.errors import AppError
from app.serving.batches import Entry
from app.serving.served_task import ServedTask

_log = logging.getLogger(__name__)


def fail_or_die(entries: Iterable[Entry[ServedTask]], error: BaseException) -> None:
    """Fails the entries; what is no Exception (SystemExit, say) goes on and ends the thread."""
    fail(entries, error)
    if not isinstance(error, Exception):
        raise error
    _log.error("a batch failed", exc_info=error)


def fail(entries: Iterable[Entry[ServedTask]], error: BaseException) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(
                copy_for_waiter(error, "the model failed on this input, or on one that ran beside it")
            )


def copy_for_waiter(error: BaseException, otherwise: str) -> AppError:
    """An error for one waiter alone: raising one object in several tasks would mix their tracebacks.

    AppErrors are copied; of any other error the user sees only `otherwise`, and the log has the rest.
    """
    return copy.copy(error) if isinstance(error, AppError) else AppError(otherwise)
