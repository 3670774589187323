"""The check of keys at every request, from a copy of the records that is at most `MAX_AGE` seconds old."""

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.access.key_store import KeySnapshot, KeyStore
from app.access.keys import OPERATOR, PREFIX, ApiKey, Caller, KeyLimits, hash_secret
from app.errors import NotReady, Unauthorized
from app.jobs.connection import StorageError
from app.system.durable import make_folders, write_bytes

MARKER = "keys.required"  # the file of the data folder that tells that keys exist

MAX_AGE = 2.0  # seconds after which a revoked key is refused by every server
_POLL = 0.5  # seconds between two looks at the revision
_USE_INTERVAL = 60.0  # seconds between two writes of a key's last use

_log = logging.getLogger(__name__)


class KeyGuard:
    """Tells who sends a request. Costs no call to Redis: the records are read again when their revision changes.

    operator_keys: of the settings; they may do everything, also while Redis is away. store: None if no Redis was found.
    required: whether requests need a key even if there is none yet. defaults: the limits of keys without their own.
    var_dir: its file `MARKER` remembers that keys exist, so that a server stays closed if it starts while Redis is
    away, or if Redis has lost its data. None: nothing is remembered.
    """

    def __init__(
        self,
        operator_keys: Sequence[str],
        store: KeyStore | None,
        *,
        required: bool = False,
        defaults: KeyLimits | None = None,
        var_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operator_keys = [key.encode() for key in operator_keys]
        self._store, self._clock = store, clock
        self.defaults = defaults or KeyLimits()
        self._marker = var_dir / MARKER if var_dir else None
        self._needs_key = required or bool(operator_keys) or bool(self._marker and self._marker.exists())
        self._snapshot = KeySnapshot(-1, {}, 0.0)
        self._by_id: dict[str, ApiKey] = {}
        self._read_at = float("-inf")  # when the last successful reading of the revision began
        self._offset = 0.0  # from this clock to that of Redis
        self._used: dict[str, float] = {}
        self._unsaved: set[str] = set()
        self._reading = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")  # the loop's own threads may all be busy
        self._polling: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests need no key."""
        return not self._needs_key

    async def start(self) -> None:
        """Reads the keys, and from then on whenever they change."""
        if self._store is not None:
            await self._try_refresh()
            self._polling = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def authenticate(self, secret: bytes) -> Caller:
        """Returns who sent a secret. Raises Unauthorized, and NotReady while Redis does not answer."""
        # All keys are compared, each in constant time, so that the time reveals nothing about them.
        matches = [hmac.compare_digest(secret, known) for known in self._operator_keys]
        if any(matches):
            return OPERATOR
        if self._store is None or not secret.startswith(PREFIX.encode()):
            raise Unauthorized("the API key is not valid")
        await self._need_fresh()
        # Looked up by its hash: the time of a look-up tells about the hash, from which no secret can be found.
        key = self._snapshot.by_digest.get(hash_secret(secret))
        if key is None:
            raise Unauthorized("the API key is not valid, or was revoked")
        if key.has_expired(self._clock() + self._offset):
            raise Unauthorized("the API key has expired")
        self._note_use(key)
        return Caller(key.name, frozenset(key.scopes), key.id, key.limits.over(self.defaults))

    def is_valid(self, caller: Caller) -> bool:
        """Tells whether the key of a caller is still valid. Asked while a long answer is sent."""
        if caller.owner is None:
            return True
        # The latest copy counts, however old: an outage of Redis does not cut off answers in progress.
        key = self._by_id.get(caller.owner)
        return key is not None and not key.has_expired(self._clock() + self._offset)

    async def refresh(self) -> None:
        """Reads the keys if they have changed. Raises StorageError."""
        async with self._reading:
            began = self._clock()
            used, self._unsaved = self._unsaved, set()
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._read, used)
            self._read_at = began
            if found is not None:
                self._snapshot, self._offset = found, found.now - self._clock()
                self._by_id = {key.id: key for key in found.by_digest.values()}
                self._needs_key = self._needs_key or bool(found.by_digest)

    async def _need_fresh(self) -> None:
        if self._clock() - self._read_at <= MAX_AGE:
            return
        with contextlib.suppress(StorageError):
            await self.refresh()
        if self._clock() - self._read_at > MAX_AGE:
            raise NotReady("the API key cannot be checked: Redis does not answer")

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        try:
            await self.refresh()
        except StorageError as error:
            _log.debug("the keys cannot be read: %s", error)
        except Exception:  # such as a record of a later version; the next round may succeed
            _log.exception("the keys cannot be read")

    def _read(self, used: Collection[str]) -> KeySnapshot | None:
        """Runs on the guard's thread. used: keys whose use is stored."""
        assert self._store is not None
        found = self._store.read(self._snapshot.revision)
        if found is not None and found.by_digest:
            self._remember()
        if used:
            self._store.note_use(used)
        return found

    def _remember(self) -> None:
        """Writes the marker. A folder that cannot be written only lacks it."""
        if self._marker is None or self._marker.exists():
            return
        try:
            make_folders(self._marker.parent)
            write_bytes(self._marker, b"API keys exist. Without this file, a server that finds none is open.\n")
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._marker, error)

    def _note_use(self, key: ApiKey) -> None:
        now = self._clock()
        if now - self._used.get(key.id, float("-inf")) >= _USE_INTERVAL:
            self._used[key.id] = now
            self._unsaved.add(key.id)
