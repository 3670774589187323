"""Uploads a stored version to the Hugging Face hub."""

from collections.abc import Sequence
from typing import Any, Protocol

from app.errors import InvalidValue, NotReady
from app.store.store import ModelEntry

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


class HubApi(Protocol):
    """The part of `huggingface_hub.HfApi` that a push uses."""

    def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> Any: ...

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str,
        commit_message: str,
        delete_patterns: Sequence[str],
    ) -> Any: ...


def push_model(entry: ModelEntry, repository: str, *, private: bool, api: HubApi | None = None) -> str:
    """Uploads the files of a version as one commit of a repository, which is created if it does not exist.

    Weights of an earlier push are deleted.
    Returns the commit's address. Raises InvalidValue for an impossible id, NotReady if the hub cannot be reached or
    refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its own, httpx or httpx2

    client: Any = api or HfApi()
    try:
        client.create_repo(repository, private=private or None, exist_ok=True)  # None: the organisation's default
        commit = client.upload_folder(
            repo_id=repository,
            folder_path=str(entry.path),
            commit_message=f"Upload {entry.id} from Cloze",
            delete_patterns=list(_WEIGHTS),
        )
    except HFValidationError as error:
        raise InvalidValue(f"{repository!r} is not a hub id such as org/name", param="repository") from error
    except (httpx.HTTPError, OSError, ValueError) as error:  # ValueError: the hub refuses a file, such as the card
        raise NotReady(f"{entry.id} could not be pushed to {repository!r}: {_reason(error, repository)}") from error
    return str(commit.commit_url)


def _reason(error: Exception, repository: str) -> str:
    """Why a push failed, in one line."""
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return (
            f"the hub does not let this token write to {repository!r}; log in with `hf auth login`, or set HF_TOKEN to"
            " a token that may write there"
        )
    return " ".join(str(error).split()) or type(error).__name__
