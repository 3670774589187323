"""Parameters of paths, queries and headers that several routes share, each with a bound."""

from typing import Annotated

from fastapi import Header, Path, Query

from app.api.schemas.common import MAX_ID, MAX_MODEL_ID

# Ids that are longer cannot exist. They are answered with 422, so no message repeats them.
ModelId = Annotated[
    str,
    Path(
        max_length=MAX_MODEL_ID,
        description="Model as `name`, `name@version` or `name:alias`; a slash may be plain or %2F",
    ),
]
Alias = Annotated[str, Path(max_length=MAX_ID, description="Alias of a version, as in `name:alias`")]
JobId = Annotated[str, Path(max_length=MAX_ID, description="Id of the job")]
FileId = Annotated[str, Path(max_length=MAX_ID, description="Id of the file")]
CheckpointId = Annotated[str, Path(max_length=MAX_ID, description="Id of the checkpoint")]
IdempotencyKey = Annotated[
    str | None,
    Header(max_length=256, description="Key of the request; a request with the same key is answered with the same job"),
]
After = Annotated[str | None, Query(max_length=MAX_ID, description="Last id of the previous page")]
