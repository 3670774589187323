"""Facts about the running request that the access log reports and only the inner layers know."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class RequestNotes:
    """model: the model that computed last. inputs: the number of inputs that models were asked about."""

    model: str | None = None
    inputs: int = 0

    def add(self, model: str, inputs: int) -> None:
        self.model = model
        self.inputs += inputs


# The notes of the request that the running task belongs to. None: nobody wants them.
NOTES: ContextVar[RequestNotes | None] = ContextVar("request_notes", default=None)
