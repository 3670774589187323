"""The errors of other services' APIs, in their own shapes."""

from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, Field

from app.api.errors import ErrorShape, FindShape, error_object
from app.compat.cohere import CohereError
from app.compat.ollama import OllamaError
from app.compat.tei_paths import PREFIX, ROUTES
from app.errors import AppError, Busy, EmptyInput, NotReady, TaskNotSupported

TeiErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class TeiError(BaseModel):
    """The body of an error in the dialect of text-embeddings-inference."""

    error: str = Field(description="Human-readable message, which names the invalid field")
    error_type: TeiErrorType = Field(description="Type of the error, one of text-embeddings-inference's")


def _write_tei(error: AppError) -> tuple[int, TeiError]:
    status = HTTPStatus.FAILED_DEPENDENCY if isinstance(error, TaskNotSupported) else error.status
    return status, TeiError(error=_describe(error), error_type=_tei_type(error))


def _tei_type(error: AppError) -> TeiErrorType:
    match error:
        case Busy():
            return "Overloaded"
        case NotReady():
            return "Unhealthy"
        case EmptyInput():
            return "Empty"
        case TaskNotSupported():
            return "Backend"
    return "Backend" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Validation"


def _describe(error: AppError) -> str:
    """Returns the message, with the name of the invalid field."""
    written = error_object(error)
    message, param = str(written["message"]), written["param"]
    return message if param is None or f"`{param}" in message else f"`{param}`: {message}"


_TEI = ErrorShape(TeiError, _write_tei)
_COHERE = ErrorShape(CohereError, lambda error: (error.status, CohereError(message=_describe(error))))
_OLLAMA = ErrorShape(OllamaError, lambda error: (error.status, OllamaError(error=_describe(error))))
_BY_PATH = {
    **dict.fromkeys(("/v1/embed", "/v2/embed", "/v2/rerank"), _COHERE),
    **dict.fromkeys(("/api/embed", "/api/embeddings", "/api/tags", "/api/version"), _OLLAMA),
}


def shape_finder(*, root_routes: bool) -> FindShape:
    """Returns the function that finds the shape of a path's errors. root_routes: whether TEI's are at the root too."""
    at_root = {f"/{name}" for name in ROUTES} if root_routes else set()

    def find(method: str, path: str) -> ErrorShape | None:
        path = path.rstrip("/")
        if path in at_root or path == PREFIX or path.startswith(f"{PREFIX}/"):
            return _TEI
        if root_routes and not path and method == "POST":
            return _TEI
        return _BY_PATH.get(path)

    return find
