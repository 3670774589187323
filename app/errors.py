"""All errors that users can meet. Each has its HTTP status and its code on the wire.

AppError                     500 internal_error
├── BadRequest               400 invalid_request
│   └── EmptyInput           400 empty_input
├── Unauthorized             401 invalid_api_key
├── Forbidden                403 forbidden
├── NotFound                 404 not_found
│   ├── ModelNotFound        404 model_not_found
│   ├── JobNotFound          404 job_not_found
│   └── FileNotFound         404 file_not_found
├── NotAcceptable            406 not_acceptable
├── RequestTimeout           408 request_timeout
├── Conflict                 409 conflict
├── TooLarge                 413 too_large
├── UnsupportedMediaType     415 unsupported_media_type
├── InvalidValue             422 invalid_value
│   ├── NoMask               422 no_mask
│   ├── TooManyMasks         422 too_many_masks
│   ├── InputTooLong         422 input_too_long
│   ├── TaskNotSupported     422 task_not_supported
│   ├── InvalidModel         422 invalid_model
│   └── InvalidData          422 invalid_data
├── OutOfMemory              422 out_of_memory
├── Busy                     429 busy
│   └── RateLimited          429 rate_limit_exceeded
│       └── QuotaExceeded    429 quota_exceeded
├── HeadersTooLarge          431 headers_too_large
├── NotReady                 503 not_ready
└── InsufficientStorage      507 insufficient_storage
"""


class AppError(Exception):
    """Base class of all errors.

    message: shown to the user. param: name of the invalid field, if there is one. index: index of the invalid input,
    if the request has several.
    """

    status = 500
    code = "internal_error"
    type = "server_error"
    index: int | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class BadRequest(AppError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class EmptyInput(BadRequest):
    code = "empty_input"


class Unauthorized(AppError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class Forbidden(AppError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class NotFound(AppError):
    status = 404
    code = "not_found"
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    code = "model_not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class FileNotFound(NotFound):
    code = "file_not_found"


class NotAcceptable(AppError):
    status = 406
    code = "not_acceptable"
    type = "invalid_request_error"


class RequestTimeout(AppError):
    """The client did not send its request in time."""

    status = 408
    code = "request_timeout"
    type = "invalid_request_error"


class Conflict(AppError):
    status = 409
    code = "conflict"
    type = "invalid_request_error"


class TooLarge(AppError):
    status = 413
    code = "too_large"
    type = "invalid_request_error"


class UnsupportedMediaType(AppError):
    status = 415
    code = "unsupported_media_type"
    type = "invalid_request_error"


class InvalidValue(AppError):
    status = 422
    code = "invalid_value"
    type = "invalid_request_error"


class NoMask(InvalidValue):
    code = "no_mask"


class TooManyMasks(InvalidValue):
    code = "too_many_masks"


class InputTooLong(InvalidValue):
    code = "input_too_long"


class TaskNotSupported(InvalidValue):
    code = "task_not_supported"


class InvalidModel(InvalidValue):
    code = "invalid_model"


class InvalidData(InvalidValue):
    code = "invalid_data"


class Busy(AppError):
    """More work is waiting than admission allows. `retry_after`: seconds after which a client should retry."""

    status = 429
    code = "busy"
    type = "rate_limit_error"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Busy):
    """An API key has reached one of its limits."""

    code = "rate_limit_exceeded"


class QuotaExceeded(RateLimited):
    """An API key has as many objects as it may have. Waiting does not help before some of them end."""

    code = "quota_exceeded"


class HeadersTooLarge(AppError):
    status = 431
    code = "headers_too_large"
    type = "invalid_request_error"


class NotReady(AppError):
    status = 503
    code = "not_ready"
    type = "server_error"


class OutOfMemory(AppError):
    """The training device cannot hold even the smallest part of the job's batch."""

    status = 422
    code = "out_of_memory"
    type = "invalid_request_error"


class InsufficientStorage(AppError):
    status = 507
    code = "insufficient_storage"
