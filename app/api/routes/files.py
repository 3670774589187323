"""/v1/files: data for jobs, with OpenAI's routes."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from app.api.deps import FilesDep, ServicesDep
from app.api.openapi import FILE, errors
from app.api.params import After, FileId
from app.api.schemas.common import MAX_ID
from app.api.schemas.files import PURPOSE, FileDeleted, FileList, FileObject, file_object
from app.api.wire.multipart import FormFile, open_upload
from app.api.wire.ranges import RangedFile
from app.errors import InvalidValue

router = APIRouter(prefix="/v1/files", tags=["Files"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "purpose": {"type": "string", "enum": [PURPOSE], "default": PURPOSE},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=_FORM, responses=errors(507))
async def upload_file(request: Request, services: ServicesDep, files: FilesDep) -> FileObject:
    """Uploads a file: text, a table, sequences, a media file, or an archive of such files."""
    files.check_room(int(request.headers.get("content-length") or 0))  # checked early, before the disk is full
    upload = await open_upload(request)
    stored = await files.create(upload.filename, PURPOSE, _checked(upload), services.settings.max_file_bytes)
    return file_object(stored)


@router.get("", responses=errors(404))
def list_files(
    files: FilesDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Maximum number of entries")] = 100,
    purpose: Annotated[
        str | None, Query(max_length=MAX_ID, description="Purpose of the files; only `fine-tune` exists")
    ] = None,
    order: Annotated[
        Literal["asc", "desc"], Query(description="Order by creation time; `desc` lists the newest first")
    ] = "desc",
) -> FileList:
    """Lists the files, newest first by default."""
    found, has_more = files.list(after, limit, purpose, order)
    return FileList(
        data=[file_object(file) for file in found],
        has_more=has_more,
        first_id=found[0].id if found else None,
        last_id=found[-1].id if found else None,
    )


@router.get("/{file_id}")
def get_file(file_id: FileId, files: FilesDep) -> FileObject:
    return file_object(files.get(file_id))


@router.get("/{file_id}/content", response_class=RangedFile, responses=FILE)
def get_content(file_id: FileId, files: FilesDep) -> RangedFile:
    """Returns the content of a file, unchanged."""
    file = files.get(file_id)
    return RangedFile(files.path(file_id), media_type="application/octet-stream", filename=file.filename)


@router.delete("/{file_id}", responses=errors(409))
def delete_file(file_id: FileId, files: FilesDep) -> FileDeleted:
    """Deletes a file. The response is 409 while an unfinished job needs the file."""
    files.delete(file_id)
    return FileDeleted(id=file_id)


async def _checked(upload: FormFile) -> AsyncIterator[bytes]:
    """Yields the content. Raises InvalidValue for a wrong field before or after the file; then nothing is stored."""
    _check_fields(upload.fields)
    async for chunk in upload.content:
        yield chunk
    _check_fields(upload.fields)


def _check_fields(fields: dict[str, str]) -> None:
    for name, value in fields.items():
        if name != "purpose":
            raise InvalidValue(f"`{name}` is not a known field", param=name)
        if value != PURPOSE:
            raise InvalidValue(f"`purpose` must be {PURPOSE!r}, not {value[:60]!r}", param="purpose")
