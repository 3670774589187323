"""A file in a multipart form, streamed while it arrives. It is not buffered in memory or on disk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.wire.content_type import FORM, media_type
from app.api.wire.filenames import upload_name
from app.errors import BadRequest, InvalidValue

MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 33  # including the file


@dataclass
class FormFile:
    """A file of a form.

    content: yields the file's bytes. fields: the fields before the file; those after it are added once it has ended.
    """

    filename: str
    fields: dict[str, str]
    content: AsyncIterator[bytes]


@dataclass(frozen=True)
class _PartBegins:
    name: str
    filename: str | None


class _PartEnds:
    pass


_Event = _PartBegins | _PartEnds | bytes


@dataclass
class _Events:
    """Collects the parser's callbacks as events."""

    events: list[_Event] = field(default_factory=list)
    complete: bool = False
    _header_name: bytes = b""
    _header_value: bytes = b""
    _disposition: bytes = b""

    def part_begin(self) -> None:
        self._disposition = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self.events.append(_PartBegins(name, upload_name(self._disposition, options.get(b"filename"))))

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def part_end(self) -> None:
        self.events.append(_PartEnds())

    def end(self) -> None:
        self.complete = True


async def open_upload(request: Request, name: str = "file") -> FormFile:
    """Reads a form up to the start of its file. Raises BadRequest for a broken form, InvalidValue without a file."""
    events = _read_events(request)
    fields: dict[str, str] = {}
    async for event in events:
        if isinstance(event, _PartBegins):
            if event.name == name and event.filename is not None:
                return FormFile(event.filename, fields, _read_content(events, fields))
            await _read_field(event, events, fields)
    raise InvalidValue(f"`{name}` is required, as a file of the form", param=name)


async def _read_content(events: AsyncIterator[_Event], fields: dict[str, str]) -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, _PartEnds):
            break
        if isinstance(event, bytes):
            yield event
    async for event in events:
        if isinstance(event, _PartBegins):
            await _read_field(event, events, fields)


async def _read_field(part: _PartBegins, events: AsyncIterator[_Event], fields: dict[str, str]) -> None:
    if part.filename is not None:
        raise InvalidValue(f"`{part.name}`: expected a single file, named `file`", param=part.name)
    value = b""
    async for event in events:
        if isinstance(event, _PartEnds):
            break
        if isinstance(event, bytes):
            value += event
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidValue(
                f"`{part.name}`: the form's field is longer than {MAX_FIELD_BYTES} bytes", param=part.name
            )
    fields[part.name] = value.decode("utf-8", "replace")


async def _read_events(request: Request) -> AsyncIterator[_Event]:
    _, options = parse_options_header(request.headers.get("content-type"))
    if media_type(request.headers) != FORM or b"boundary" not in options:
        raise BadRequest("the Content-Type must be multipart/form-data with a boundary; send the file as a form")
    collected = _Events()
    parts = 0
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": collected.part_begin,
                "on_header_field": collected.header_field,
                "on_header_value": collected.header_value,
                "on_header_end": collected.header_end,
                "on_headers_finished": collected.headers_finished,
                "on_part_data": collected.part_data,
                "on_part_end": collected.part_end,
                "on_end": collected.end,
            },
        )
        async for chunk in request.stream():
            parser.write(chunk)
            for event in collected.events:
                if isinstance(event, _PartBegins):  # counted by events: fields may be empty and names may repeat
                    parts += 1
                    if parts > MAX_PARTS:
                        raise InvalidValue(
                            f"`{event.name}`: the form has more than {MAX_PARTS} parts", param=event.name
                        )
                yield event
            collected.events.clear()
    except FormParserError as error:
        raise BadRequest(f"the form is broken: {error}") from error
    if not collected.complete:
        raise BadRequest("the form ends before its last boundary")
