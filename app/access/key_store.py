"""The keys in Redis: `cloze:keys` maps ids to records, `cloze:keys:used` to the times of their last use.

`cloze:keys:revision` is raised by every change, so that servers read the keys again only if there was one.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from redis.exceptions import WatchError

from app.access.keys import ApiKey, KeyLimits, KeyScope, hash_secret, make_secret, shown_part
from app.errors import Conflict, InvalidValue, NotFound
from app.jobs.connection import Client

MAX_KEYS = 10_000
MAX_NAME = 100  # characters

KEYS, USED, REVISION = "cloze:keys", "cloze:keys:used", "cloze:keys:revision"

KeyList: TypeAlias = list[ApiKey]


class NewKey(NamedTuple):
    """A key that was just made. secret: shown once; only its hash is stored."""

    key: ApiKey
    secret: str


class KeySnapshot(NamedTuple):
    """All keys at a revision. by_digest: the records by the hash of their secrets."""

    revision: int
    by_digest: Mapping[str, ApiKey]
    now: float  # Unix seconds by the clock of Redis


class KeyStore:
    """Every call may raise `connection.StorageError` while Redis is away.

    keeps_admin: whether the last admin key that does not expire cannot be revoked. It is False if the operator has
    keys of their own, which need no record.
    """

    def __init__(self, redis: Client, *, keeps_admin: bool = True) -> None:
        self._redis = redis
        self._keeps_admin = keeps_admin

    def create(
        self,
        name: str,
        scopes: Sequence[KeyScope],
        *,
        limits: KeyLimits | None = None,
        expires_at: float | None = None,
        created_by: str | None = None,
    ) -> NewKey:
        """Makes a key. Raises InvalidValue, and Conflict if there are too many keys or the first one is no admin."""
        secret = make_secret()
        key = ApiKey(
            id=f"key-{secrets.token_hex(12)}",
            name=_check_name(name),
            digest=hash_secret(secret.encode()),
            hint=shown_part(secret),
            scopes=tuple(dict.fromkeys(scopes)),
            limits=limits or KeyLimits(),
            created_at=self._now(),
            created_by=created_by,
            expires_at=expires_at,
        )
        if not key.scopes:
            raise InvalidValue("a key needs at least one scope", param="scopes")
        if key.has_expired(key.created_at):
            raise InvalidValue("the key would have expired already", param="expires_at")
        self._change(key.id, lambda known: self._check_new(key, known))
        return NewKey(key, secret)

    def list(self) -> KeyList:
        """Lists the keys, newest first, expired ones too."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hvals(KEYS)
            pipe.hgetall(USED)
            records, used = pipe.execute()
        keys = [_with_use(ApiKey.model_validate_json(raw), used) for raw in records]
        return sorted(keys, key=lambda key: (key.created_at, key.id), reverse=True)

    def get(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        key = next((key for key in self.list() if key.id == key_id), None)
        if key is None:
            raise NotFound(f"no key '{key_id}'")
        return key

    def revoke(self, key_id: str) -> ApiKey:
        """Deletes a key. Raises NotFound, and Conflict for the last admin key.

        What the key owns is kept, and admins see it.
        """
        found: list[ApiKey] = []

        def decide(known: Mapping[str, ApiKey]) -> None:
            if key_id not in known:
                raise NotFound(f"no key '{key_id}'")
            rest = [key for other, key in known.items() if other != key_id]
            self._check_admin(rest, "it is the last admin key that does not expire: make another one first")
            found.append(known[key_id])

        self._change(key_id, decide)
        return found[-1]

    def read(self, known: int) -> KeySnapshot | None:
        """Returns all keys; None if the revision is still the known one."""
        revision = int(self._redis.get(REVISION) or 0)
        if revision == known:
            return None
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(REVISION)
            pipe.hvals(KEYS)
            pipe.time()
            revision, records, (seconds, micros) = pipe.execute()
        keys = [ApiKey.model_validate_json(raw) for raw in records]
        return KeySnapshot(int(revision or 0), {key.digest: key for key in keys}, seconds + micros / 1e6)

    def note_use(self, key_ids: Iterable[str]) -> None:
        """Stores that these keys were used now, except those that were revoked meanwhile."""
        now = self._now()
        for key_id in key_ids:
            if self._redis.hexists(KEYS, key_id):
                self._redis.hset(USED, key_id, now)

    def _check_new(self, key: ApiKey, known: Mapping[str, ApiKey]) -> ApiKey:
        if len(known) >= MAX_KEYS:
            raise Conflict(f"there are {MAX_KEYS} keys already: revoke some first")
        self._check_admin(
            [*known.values(), key], "the first key must have the scope `admin` and not expire, to manage the others"
        )
        return key

    def _check_admin(self, keys: Iterable[ApiKey], message: str) -> None:
        if self._keeps_admin and not any("admin" in key.scopes and key.expires_at is None for key in keys):
            raise Conflict(message)

    def _change(self, key_id: str, decide: Callable[[Mapping[str, ApiKey]], ApiKey | None]) -> None:
        """Writes the record that `decide(records by id)` returns, or deletes it if it returns None."""
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(KEYS)
                    records = [ApiKey.model_validate_json(raw) for raw in pipe.hvals(KEYS)]
                    key = decide({record.id: record for record in records})
                    pipe.multi()
                    if key is None:
                        pipe.hdel(KEYS, key_id)
                        pipe.hdel(USED, key_id)
                    else:
                        pipe.hset(KEYS, key_id, key.model_dump_json(exclude={"last_used_at"}))
                    pipe.incr(REVISION)
                    pipe.execute()
                    return
                except WatchError:
                    continue

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)


def _with_use(key: ApiKey, used: Mapping[bytes, bytes]) -> ApiKey:
    raw = used.get(key.id.encode())
    return key if raw is None else key.model_copy(update={"last_used_at": float(raw)})


def _check_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidValue(f"a name has 1 to {MAX_NAME} printable characters", param="name")
    return name
