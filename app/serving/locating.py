"""Errors of one item say which it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from app.errors import AppError, Busy, NotReady

T = TypeVar("T")
R = TypeVar("R")

_SHARED = (Busy, NotReady)  # what all items of a request meet together


@contextmanager
def of_item(index: int, count: int) -> Iterator[None]:
    """Gives an AppError that is raised within the index of its item, if the request has several.

    A panic in Rust, which is no Exception, becomes an AppError: it would end more than the request.
    """
    try:
        yield
    except AppError as error:
        if count > 1 and error.index is None and error.param in (None, "input") and not isinstance(error, _SHARED):
            error.index = index
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of pyo3_runtime, which cannot be imported
            raise
        failed = AppError("a library that the server uses failed on this input", param="input")
        failed.index = index if count > 1 else None
        raise failed from error


def locating(function: Callable[[T], R], count: int) -> Callable[[tuple[int, T]], R]:
    """`function` of an item, for pairs of an index and an item; its errors say which of `count` items it is."""

    def located(pair: tuple[int, T]) -> R:
        with of_item(pair[0], count):
            return function(pair[1])

    return located
