"""Parameters of paths, queries and headers that several routes share, each with a bound."""

from typing import Annotated

from fastapi import Path, Query

from app.api.schemas.common import MAX_ID, MAX_MODEL_ID

# Ids that are longer cannot exist. They are answered with 422, so no message repeats them.
ModelId = Annotated[
    str, Path(max_length=MAX_MODEL_ID, description="`name`, `name@version` or `name:alias`; slashes stay, also as %2F")
]
Alias = Annotated[str, Path(max_length=MAX_ID)]
JobId = Annotated[str, Path(max_length=MAX_ID)]
FileId = Annotated[str, Path(max_length=MAX_ID)]
CheckpointId = Annotated[str, Path(max_length=MAX_ID)]
After = Annotated[str | None, Query(max_length=MAX_ID, description="The last id of the page before")]
