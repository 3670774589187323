from concurrent.futures import ThreadPoolExecutor

import pytest

from app.access.key_store import KEYS, USED, KeyStore
from app.access.keys import KeyLimits
from app.errors import Conflict, InvalidValue, NotFound
from app.jobs.connection import Client


@pytest.fixture
def store(redis: Client) -> KeyStore:
    return KeyStore(redis)


def test_a_secret_is_shown_once_and_stored_as_a_hash(redis: Client, store: KeyStore) -> None:
    key, secret = store.create("ops", ["admin"], limits=KeyLimits(jobs=3))

    assert secret.startswith(key.hint)
    assert len(secret) == len("cloze_") + 43  # 32 bytes in base64
    assert secret.encode() not in b"".join(redis.hvals(KEYS))
    assert store.get(key.id) == key
    assert store.list() == [key]


def test_names_scopes_and_expiry_are_checked(store: KeyStore) -> None:
    store.create("ops", ["admin"])
    for name, scopes, expires_at, param in (
        (" ", ["predict"], None, "name"),
        ("a\nb", ["predict"], None, "name"),
        ("x" * 101, ["predict"], None, "name"),
        ("x", [], None, "scopes"),
        ("x", ["predict"], 1.0, "expires_at"),
    ):
        with pytest.raises(InvalidValue) as caught:
            store.create(name, scopes, expires_at=expires_at)  # type: ignore[arg-type]
        assert caught.value.param == param


def test_there_is_always_an_admin(redis: Client, store: KeyStore) -> None:
    with pytest.raises(Conflict, match="first key"):
        store.create("client", ["predict"])
    with pytest.raises(Conflict, match="first key"):
        store.create("brief", ["admin"], expires_at=1e11)
    ops, _ = store.create("ops", ["admin"])
    store.create("brief", ["admin"], expires_at=1e11)
    with pytest.raises(Conflict, match="last admin"):
        store.revoke(ops.id)

    KeyStore(redis, keeps_admin=False).revoke(ops.id)  # the operator has keys of the settings

    with pytest.raises(NotFound):
        store.revoke(ops.id)


def test_concurrent_creations_are_all_kept(store: KeyStore) -> None:
    store.create("ops", ["admin"])
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda number: store.create(f"client-{number}", ["predict"]).key.id, range(8)))

    assert {key.id for key in store.list()} >= set(made)


def test_two_revocations_at_once_leave_an_admin(store: KeyStore) -> None:
    ids = [store.create(f"ops-{number}", ["admin"]).key.id for number in range(2)]

    def revoke(key_id: str) -> bool:
        try:
            store.revoke(key_id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(revoke, ids)) == [False, True]


def test_servers_read_the_keys_only_when_they_changed(store: KeyStore) -> None:
    first = store.read(-1)
    assert first is not None
    assert store.read(first.revision) is None
    key, _ = store.create("ops", ["admin"])

    changed = store.read(first.revision)

    assert changed is not None
    assert list(changed.by_digest) == [key.digest]


def test_the_last_use_is_kept_for_keys_that_exist(redis: Client, store: KeyStore) -> None:
    key, _ = store.create("ops", ["admin"])

    store.note_use([key.id, "key-revoked"])

    assert store.get(key.id).last_used_at is not None
    assert redis.hlen(USED) == 1
