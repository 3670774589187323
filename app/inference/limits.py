"""How much one request may ask for, as the settings say."""

from dataclasses import dataclass, field
from typing import Literal

from app.errors import InvalidValue
from app.inference.token_ids import TokenIdReader


@dataclass(frozen=True)
class RequestLimits:
    """Each is the most that is allowed.

    inputs: of one request. top_k: candidates for a mask. masks: in a text.
    queued_inputs: of all requests together. line_bytes: of a line in a stream.
    token_ids: decides about inputs that are token ids.
    embed_overflow: what becomes of a text that is too long to embed, unless the request says it.
    """

    inputs: int
    top_k: int
    masks: int
    queued_inputs: int
    line_bytes: int
    token_ids: TokenIdReader = field(default_factory=TokenIdReader)
    embed_overflow: Literal["windows", "truncate", "error"] = "windows"

    def check_inputs(self, count: int, param: str = "input") -> None:
        """Raises InvalidValue for more inputs than one request may hold. param: the field that holds them."""
        if count > self.inputs:
            raise InvalidValue(f"`{param}` holds {count} inputs; one request may hold {self.inputs}", param=param)

    def check_top_k(self, top_k: int, param: str = "top_k") -> None:
        """Raises InvalidValue for more candidates than are allowed. param: the field's name in the request."""
        if top_k > self.top_k:
            raise InvalidValue(f"`{param}` should be at most {self.top_k}, not {top_k}", param=param)
