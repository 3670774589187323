"""Previews of a job's files: how they are read, before the job is created."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, Field

from app.submission.job_specs import FilePreview

MAX_FILES = 20  # that are shown of a job


class ItemObject(BaseModel):
    text: str | None = Field(description="The beginning of a document; null for media")
    name: str | None = Field(
        description="Header of a FASTA record, or name of a molecule or a media file; null if there is none"
    )
    length: float | None = Field(description="Length of the whole item, in the unit of `lengths`")


class LengthsObject(BaseModel):
    unit: Literal["characters", "seconds"] = Field(description="Unit of the lengths")
    min: float = Field(description="Length of the shortest item")
    median: float = Field(description="Median of the lengths")
    p95: float = Field(description="95th percentile of the lengths")
    max: float = Field(description="Length of the longest item")


class CharacterObject(BaseModel):
    character: str = Field(description="The character")
    count: int


class AlphabetObject(BaseModel):
    size: int = Field(description="Number of different characters")
    characters: list[CharacterObject] = Field(description="The 100 most frequent characters")


class HeaderFieldObject(BaseModel):
    name: str = Field(description="Name of the field")
    values: int = Field(description="Number of different values")
    first: list[str] = Field(description="Up to three values")


class LeftOutObject(BaseModel):
    reason: str = Field(description="Reason why they are left out")
    count: int
    example: str = Field(description="Name or line of the first one")


class FilePreviewObject(BaseModel):
    """The preview of a file. All but `items` describes the part of it that was read."""

    file: str = Field(description="Id of the file")
    filename: str
    use: Literal["training_file", "validation_file"] = Field(description="Use of the file in the job")
    items: int = Field(description="Items of the file; an estimate if it is sampled")
    sampled: bool = Field(description="Whether only the beginning of the file was read")
    read_as: dict[str, int] = Field(
        description="Number of text files for each kind of document: lines, paragraphs, file, rows or sequences"
    )
    first_items: list[ItemObject] = Field(description="The first five items")
    lengths: LengthsObject | None = Field(description="Lengths of the items; null for images")
    alphabet: AlphabetObject | None = Field(description="The characters of a text; null for media")
    duplicate_share: float | None = Field(description="Share of the items that equal an earlier one; null for media")
    header_fields: list[HeaderFieldObject] = Field(
        description="Fields of the headers of FASTA and FASTQ records, such as the organism"
    )
    left_out: list[LeftOutObject] = Field(description="Rows, documents and files that are not used, by reason")
    notes: list[str] = Field(description="Further remarks on how the file is read, in words")


def preview_objects(previews: Sequence[FilePreview]) -> list[FilePreviewObject]:
    return [_preview_object(each) for each in previews[:MAX_FILES]]


def _preview_object(each: FilePreview) -> FilePreviewObject:
    found = each.preview
    alphabet = found.alphabet and AlphabetObject(
        size=found.alphabet.size,
        characters=[CharacterObject(character=character, count=count) for character, count in found.alphabet.counts],
    )
    return FilePreviewObject(
        file=each.file,
        filename=each.filename,
        use=each.field,
        items=round(found.items / found.share) if found.share else found.items,
        sampled=found.share != 1.0,
        read_as=dict(found.read_as),
        first_items=[ItemObject(**asdict(item)) for item in found.first],
        lengths=found.lengths and LengthsObject(**asdict(found.lengths)),
        alphabet=alphabet,
        duplicate_share=None if found.duplicate_share is None else round(found.duplicate_share, 6),
        header_fields=[HeaderFieldObject(**asdict(entry)) for entry in found.header_fields],
        left_out=[LeftOutObject(**asdict(entry)) for entry in found.left_out],
        notes=list(found.notes),
    )
