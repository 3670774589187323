"""/v1/keys: API keys, for admins."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request, Response

from app.api.deps import KeysDep
from app.api.middleware.api_keys import caller_of
from app.api.openapi import errors
from app.api.schemas.common import MAX_ID
from app.api.schemas.keys import (
    EXAMPLES,
    CreatedKey,
    KeyDeleted,
    KeyListObject,
    KeyObject,
    KeyRequest,
    created_key,
    key_object,
)
from app.api.wire.body import StrictJsonRoute

router = APIRouter(prefix="/v1/keys", route_class=StrictJsonRoute, tags=["Keys"])

KeyId = Annotated[str, Path(max_length=MAX_ID, description="Id of the key")]


@router.post("", responses=errors(409))
def create_key(
    request: Request, response: Response, body: Annotated[KeyRequest, Body(openapi_examples=EXAMPLES)], keys: KeysDep
) -> CreatedKey:
    """Makes a key. Only this response has its secret.

    Every server accepts the key within two seconds. From the first key on, requests need one. It must be an admin key
    unless CLOZE_API_KEYS are set.
    """
    caller = caller_of(request.scope)
    response.headers["cache-control"] = "no-store"
    new = keys.create(
        body.name,
        body.scopes,
        limits=body.limits,
        expires_at=body.expires_at,
        created_by=caller.owner if caller else None,
    )
    return created_key(new)


@router.get("")
def list_keys(keys: KeysDep) -> KeyListObject:
    """Lists the keys, newest first, expired ones too. No secret can be read again."""
    return KeyListObject(data=[key_object(key) for key in keys.list()])


@router.get("/{key_id}")
def get_key(key_id: KeyId, keys: KeysDep) -> KeyObject:
    """Returns one key, without its secret."""
    return key_object(keys.get(key_id))


@router.delete("/{key_id}", responses=errors(409))
def revoke_key(key_id: KeyId, keys: KeysDep) -> KeyDeleted:
    """Revokes a key. Every server refuses it within two seconds. Its jobs, files and models stay.

    409 for the last admin key that does not expire, unless CLOZE_API_KEYS are set.
    """
    keys.revoke(key_id)
    return KeyDeleted(id=key_id)
