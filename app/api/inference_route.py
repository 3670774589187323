"""Routes that ask a model."""

from typing import Any

from fastapi import Request

from app.api.deps import Services
from app.api.wire.body import StrictJsonRoute

_FIELDS = ("input", "inputs", "sentences")


class InferenceRoute(StrictJsonRoute):
    """Counts the inputs of a body before each of them is looked at: there may be a million."""

    def check(self, request: Request, value: Any) -> None:
        _check_inputs(request.app.state.services, value)


def _check_inputs(services: Services, value: Any) -> None:
    """Raises InvalidValue for a list of too many inputs. A list of numbers is one input."""
    if isinstance(value, dict):
        for name in _FIELDS:
            given = value.get(name)
            if isinstance(given, list) and given and type(given[0]) is not int:
                services.check_inputs(len(given))
            _check_inputs(services, given)
