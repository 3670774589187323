"""Keys of inputs: equal for inputs that have the same answer, whatever the name of the model."""

import hashlib
from importlib.metadata import version
from weakref import WeakKeyDictionary

import orjson

from app import __version__
from app.serving.engine import Engine
from app.store.store import ModelEntry
from app.types import Task

_BYTES = 20  # of a key: no two inputs have the same by chance, and nobody can make two that have


class AnswerKeys:
    """Computes the keys of the inputs of one server.

    device, dtype: of its forwards. Servers that compute other numbers share no keys: those of another version of
    Cloze or torch, another kind of device, or another dtype.
    """

    def __init__(self, device: str, dtype: str) -> None:
        self._numerics = (__version__, version("torch"), version("transformers"), device, dtype)
        self._prefixes: WeakKeyDictionary[Engine, bytes] = WeakKeyDictionary()

    def compute(self, engine: Engine, task: Task, item: object) -> bytes | None:
        """Returns the key of an item for a task of a model. None: the item has a value that cannot be written."""
        try:
            written = orjson.dumps(item, default=_digest)
        except TypeError:  # orjson's own error is one
            return None
        content = hashlib.blake2b(key=self._prefix(engine), digest_size=_BYTES)
        content.update(f"{task}:{type(item).__name__}:".encode())
        content.update(written)
        return content.digest()

    def _prefix(self, engine: Engine) -> bytes:
        prefix = self._prefixes.get(engine)
        if prefix is None:
            prefix = self._prefixes[engine] = hashlib.blake2b(
                orjson.dumps([self._numerics, _contents(engine.entry)], option=orjson.OPT_SORT_KEYS), digest_size=32
            ).digest()
        return prefix


def _contents(entry: ModelEntry) -> list[object]:
    """Returns the facts about a stored version on which its answers depend. Its name and number are not among them."""
    manifest = entry.manifest
    classifier = None if manifest.classifier is None else manifest.classifier.model_dump(mode="json")
    files: object = manifest.files or entry.id  # a version without digests shares its answers with no other
    return [manifest.modality, manifest.architecture, manifest.tasks, manifest.forward_path, classifier, files]


def _digest(value: object) -> dict[str, str]:
    """Writes the bytes of a media file. No other field of an item is an object, so nothing else looks like this."""
    if isinstance(value, bytes):
        return {"blake2b": hashlib.blake2b(value, digest_size=32).hexdigest()}
    raise TypeError
