"""Opens the model store that the settings name."""

from pathlib import Path
from typing import Protocol

from app.storage.bucket import Bucket, open_bucket
from app.store.bucket_storage import BucketStorage
from app.store.model_cache import ModelCache
from app.store.store import ModelStore


class StoreSettings(Protocol):
    """model_store: a folder, or the address of a bucket. model_cache_dir, model_cache_bytes: of its local copies."""

    @property
    def model_store(self) -> Path | str: ...
    @property
    def model_copies_dir(self) -> Path: ...
    @property
    def model_cache_bytes(self) -> int: ...


def open_store(settings: StoreSettings, *, keep: bool = False, check: bool = False) -> ModelStore:
    """Opens the store.

    keep: local copies of versions that were opened are not evicted before the process ends.
    check: prove that a bucket can be read and written, which is otherwise found out at the first use.
    Raises NotReady, which names the setting: without the extra `s3`, or if the check fails.
    """
    if isinstance(settings.model_store, Path):
        return ModelStore(settings.model_store)
    cache = ModelCache(settings.model_copies_dir, settings.model_cache_bytes, keep=keep)
    store = ModelStore(BucketStorage(open_model_bucket(settings.model_store), cache))
    if check:
        store.check()
    return store


def open_model_bucket(url: str) -> Bucket:
    return open_bucket(url, "CLOZE_MODEL_STORE")
