"""API keys on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.access.key_store import MAX_NAME, NewKey
from app.access.keys import ApiKey, KeyLimits, KeyScope
from app.validation import JsonModel

EXAMPLES = {
    "a client": {"value": {"name": "search", "scopes": ["predict"]}},
    "a team": {"value": {"name": "team-a", "scopes": ["predict", "jobs"], "limits": {"jobs": 4}}},
}


class KeyRequest(JsonModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Name of the key, for people and the audit log")
    scopes: list[KeyScope] = Field(min_length=1, max_length=4, description="Scopes of the key; `admin` has all others")
    expires_at: float | None = Field(
        None, ge=0, le=1e11, description="Unix time in seconds from which the key is refused; null: never"
    )
    limits: KeyLimits = Field(
        default_factory=KeyLimits, description="Limits of the key; null: the server's default, 0: no limit"
    )


class KeyObject(BaseModel):
    id: str
    object: Literal["key"] = "key"
    name: str = Field(description="Name of the key")
    hint: str = Field(description="Beginning of the secret")
    scopes: list[KeyScope] = Field(description="Scopes of the key; `admin` has all others")
    limits: KeyLimits = Field(description="Limits of the key; null: the server's default, 0: no limit")
    created_at: int
    created_by: str | None = Field(description="Id of the key that made it; null if an operator has made it")
    expires_at: int | None = Field(description="Unix time in seconds from which the key is refused; null: never")
    last_used_at: int | None = Field(description="Unix time of the last use, accurate to a minute; null: never")


class CreatedKey(KeyObject):
    key: str = Field(description="The secret. It is shown only here")


class KeyListObject(BaseModel):
    object: Literal["list"] = "list"
    data: list[KeyObject]


class KeyDeleted(BaseModel):
    id: str
    object: Literal["key"] = "key"
    deleted: Literal[True] = True


def key_object(key: ApiKey) -> KeyObject:
    return KeyObject(
        id=key.id,
        name=key.name,
        hint=key.hint,
        scopes=list(key.scopes),
        limits=key.limits,
        created_at=int(key.created_at),
        created_by=key.created_by,
        expires_at=None if key.expires_at is None else int(key.expires_at),
        last_used_at=None if key.last_used_at is None else int(key.last_used_at),
    )


def created_key(new: NewKey) -> CreatedKey:
    return CreatedKey(**key_object(new.key).model_dump(), key=new.secret)
