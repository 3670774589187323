"""Files of a model folder that every modality reads, and those that none accepts."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from app.errors import InvalidModel


def read_json(path: Path) -> Any:
    """Raises InvalidModel where the file is missing or not JSON."""
    try:
        return from_json(path.read_bytes())  # refuses nesting that would end Python's stack
    except OSError as e:
        raise InvalidModel(f"the model folder has no readable {path.name}") from e
    except ValueError as e:
        raise InvalidModel(f"{path.name} of the model folder is not JSON: {e}") from e


# Far above what any published model has; building one module takes about a millisecond, whatever it weighs.
_MAX_LAYERS = 1000
_MAX_SIZE = 2**26  # of every other number: vocabularies, widths, positions

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")


def read_config(folder: Path, model_types: Collection[str], kind: str) -> dict[str, Any]:
    """config.json of a folder with weights that nothing is executed to read. Raises InvalidModel.

    kind: of the models that model_types are, for the message.
    """
    config = check_config(folder, model_types, kind)
    if not any(folder.glob("model*.safetensors")):
        pickles = [path.name for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
        holds = f"only {', '.join(pickles)}, which can run code when read" if pickles else "no weights"
        raise InvalidModel(f"the model folder holds {holds}; model.safetensors is needed")
    return config


def check_config(folder: Path, model_types: Collection[str], kind: str) -> dict[str, Any]:
    """config.json of a folder, whether its weights are there or not. Raises InvalidModel."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise InvalidModel("config.json of the model folder is not a JSON object")
    _check_sizes(config)
    model_type = str(config.get("model_type"))
    if model_type not in model_types and "auto_map" in config:
        raise InvalidModel(
            f"the model needs its own Python code (auto_map in config.json), which is never run; {model_type!r} is not"
            f" {kind} known here"
        )
    if model_type not in model_types:
        raise InvalidModel(f"model_type {model_type!r} is not {kind} known here: {', '.join(sorted(model_types))}")
    return config


def check_keys(config: Mapping[str, Any], missing: Collection[str], unexpected: Collection[str]) -> None:
    """Checks the weights of a model that comes with code of its own (`auto_map`) and is loaded without it.

    Raises InvalidModel where the architecture of the same name here has other weights: it computes something else.
    """
    if "auto_map" in config and (missing or unexpected):
        difference = f"lack {min(missing)}" if missing else f"hold {min(unexpected)} too"
        raise InvalidModel(
            "the model needs its own Python code (auto_map in config.json), which is never run: for"
            f" {config.get('model_type')!r} its weights {difference}"
        )


def _check_sizes(config: Mapping[str, Any]) -> None:
    """Raises InvalidModel for numbers that would build a model for minutes, whatever its weights are."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            _check_sizes(value)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        limit = _MAX_LAYERS if "layers" in name or "group" in name else _MAX_SIZE
        if abs(value) > limit:
            raise InvalidModel(f"{name} in config.json is {str(value)[:20]}; it may be {limit} at most")


@contextmanager
def as_invalid_model(what: str) -> Iterator[None]:
    """Raises whatever a library raises within as InvalidModel, a panic of Rust's libraries included."""
    try:
        yield
    except InvalidModel:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise InvalidModel(f"{what}: {first_line(error)}") from error


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust panicked. The class derives from BaseException and cannot be imported."""
    return type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """Returns the part of a library's message that is meant for its user."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
