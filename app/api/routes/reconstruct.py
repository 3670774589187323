"""POST /v1/reconstruct: hide a part of an item and see what the model makes of it."""

import asyncio
import base64
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.api.deps import ServicesDep
from app.api.media_inputs import fetch_all
from app.api.openapi import errors
from app.api.renderings import RENDERINGS, Rendering
from app.api.schemas.common import usage
from app.api.schemas.reconstruct import EXAMPLES, MaskFields, MaskForm, ReconstructRequest, ReconstructResponse
from app.api.wire.body import read_json
from app.api.wire.content_type import FORM, JSON, media_type
from app.api.wire.disconnect import while_connected
from app.api.wire.multipart import open_upload
from app.api.wire.negotiation import choose
from app.errors import BadRequest, EmptyInput
from app.modalities.reconstruction import ReconstructItem, ReconstructResult
from app.serving.engine import Engine
from app.types import Task
from app.validation import describe

B = TypeVar("B", bound=MaskFields)

router = APIRouter(tags=["Inference"])


def _documented() -> dict[str, Any]:
    """Documents the body and the forms of the answer, which FastAPI cannot see."""
    template = "#/components/schemas/{model}"
    fields = MaskFields.model_json_schema(ref_template=template)["properties"]
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, **fields},
    }
    body = {
        "multipart/form-data": {"schema": form},
        JSON: {"schema": ReconstructRequest.model_json_schema(ref_template=template), "examples": EXAMPLES},
    }
    return {"requestBody": {"required": True, "content": body}}


FORMS: dict[int | str, dict[str, Any]] = {
    **errors(404, 406),
    200: {"content": {form: {} for rendering in RENDERINGS.values() for form in rendering.files}},
}


@router.post("/v1/reconstruct", response_model=ReconstructResponse, openapi_extra=_documented(), responses=FORMS)
async def reconstruct(request: Request, services: ServicesDep) -> Response:
    """The file as `file` of a form, or as `input` of a JSON object. `Accept` decides the form of the answer."""
    content, body = await _read(request, services)
    engine = await services.pool.get(body.model)
    engine.require(Task.RECONSTRUCT)
    rendering = RENDERINGS[engine.objective.modality]
    form = choose(request.headers.get("accept"), [JSON, *rendering.files])
    item = ReconstructItem(content, body.request())

    async def work() -> bytes:
        # A result weighs many times what its file does, and rendering it may take longer than the model did.
        async with services.reconstructing.taken():
            [result] = await engine.submit(Task.RECONSTRUCT, [item])
            run = asyncio.get_running_loop().run_in_executor
            return await run(services.rendering, _answer, engine, result, rendering, form)

    return Response(await while_connected(request, work()), media_type=form)


async def _read(request: Request, services: ServicesDep) -> tuple[bytes, MaskFields]:
    """The file and everything else that was sent."""
    given = media_type(request.headers)
    if given == FORM:
        upload = await open_upload(request)
        content = b"".join([chunk async for chunk in upload.content])
        fields: Any = upload.fields
        if not content:
            raise EmptyInput("`file` is empty", param="file")
        return content, _validated(MaskForm, fields)
    if given != JSON:
        raise BadRequest(f"the Content-Type must be {FORM} or {JSON}; it is {given or 'missing'!r}")
    body = _validated(ReconstructRequest, await read_json(await request.body()))
    [content] = await fetch_all(services, [body.content], request)
    return content, body


def _validated(kind: type[B], fields: Any) -> B:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise describe(dict(error.errors()[0])) from error


def _answer(engine: Engine, result: ReconstructResult, rendering: Rendering, form: str) -> bytes:
    if form != JSON:
        return rendering.files[form](result)
    media = {
        name: {"media_type": kind, "data": base64.b64encode(render(result)).decode("ascii")}
        for name, (kind, render) in rendering.parts.items()
    }
    return orjson.dumps(
        {
            "object": "reconstruction",
            "model": engine.entry.id,
            "modality": engine.objective.modality,
            "mask": result.mask.astype(int).tolist(),
            "loss": result.loss,
            "psnr": result.psnr,
            "baselines": dict(result.baselines),
            "media": media,
            "usage": usage(result.tokens).model_dump(),
        }
    )
