"""File objects, as OpenAI's."""

from typing import Literal

from pydantic import BaseModel, Field

from app.jobs.spec import StoredFile

PURPOSE = "fine-tune"  # the only supported one


class FileObject(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = Field("processed", description="State of the file; always `processed`")
    sha256: str
    owner: str | None = Field(description="Id of the API key that made it; null: an operator, or a server without keys")


class FileList(BaseModel):
    object: Literal["list"] = "list"
    data: list[FileObject]
    has_more: bool
    first_id: str | None = Field(description="Id of the first entry; null if the list is empty")
    last_id: str | None = Field(description="Id of the last entry; null if the list is empty")


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def file_object(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=int(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
        sha256=file.sha256,
        owner=file.owner,
    )
