"""POST /v1/reconstruct: masks a part of an item and returns the model's prediction of it."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.deps import InferenceDep
from app.api.openapi import errors
from app.api.schemas.reconstruct import EXAMPLES, MaskFields, MaskForm, ReconstructRequest, ReconstructResponse
from app.api.wire.body import read_json
from app.api.wire.content_type import FORM, JSON, media_type
from app.api.wire.disconnect import HttpClient
from app.api.wire.multipart import open_upload
from app.api.wire.negotiation import choose
from app.errors import BadRequest, EmptyInput
from app.inference.remote_media import RemoteMedia
from app.inference.service import Answer
from app.modalities.descriptor import Renderer
from app.modalities.reconstruction import ReconstructResult
from app.modalities.registry import MODALITIES
from app.validation import validate

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


_RENDERINGS = [found for modality in MODALITIES.values() if (found := modality.rendering()) is not None]
FORMS: dict[int | str, dict[str, Any]] = {
    **errors(404, 406),
    200: {"content": {form: {} for rendering in _RENDERINGS for form in rendering.files}},
}


@router.post("/v1/reconstruct", response_model=ReconstructResponse, openapi_extra=_documented(), responses=FORMS)
async def reconstruct(request: Request, inference: InferenceDep) -> Response:
    """Masks a part of an item and predicts it.

    Send the item as `file` of a form, or as `input` of a JSON object. `Accept` selects the media type of the response.
    """
    content, body = await _read(request)
    model = await inference.open(body.model)
    model.require(body.task)
    rendering = MODALITIES[model.modality].rendering()
    assert rendering is not None, f"{model.modality} has no rendering"
    form = choose(request.headers.get("accept"), [JSON, *rendering.files])
    write = partial(body.write, model.modality, rendering) if form == JSON else partial(_file, rendering.files[form])
    answer = await model.run(body.task, [content], HttpClient(request), to_item=body.to_item, write=write)
    return Response(answer, media_type=form)


async def _read(request: Request) -> tuple[bytes | RemoteMedia, MaskFields]:
    """Returns the file and everything else that was sent."""
    given = media_type(request.headers)
    if given == FORM:
        upload = await open_upload(request)
        content = b"".join([chunk async for chunk in upload.content])
        if not content:
            raise EmptyInput("`file` is empty", param="file")
        return content, validate(MaskForm, upload.fields)
    if given != JSON:
        raise BadRequest(f"the Content-Type must be {FORM} or {JSON}; it is {given or 'missing'!r}")
    body = validate(ReconstructRequest, await read_json(await request.body()))
    return body.content, body


def _file(render: Renderer, answer: Answer[ReconstructResult]) -> bytes:
    (result,) = answer.results
    return render(result)
