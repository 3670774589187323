"""The sources of imports: local folders, and repositories of the Hugging Face hub, which are downloaded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.errors import InvalidValue, ModelNotFound, NotReady
from app.store.model_folder import CHECKPOINTS, FILES, MODULE_CHECKPOINTS, TRANSFORMER, has_safetensors, main_folder

_CHECKPOINTS = (*CHECKPOINTS, *(f"{TRANSFORMER}/{name}" for name in CHECKPOINTS))
_WEIGHTS = ("*.safetensors", *_CHECKPOINTS, *MODULE_CHECKPOINTS)
_CONVERTER = "SFconvertbot"  # the hub's own account, which offers safetensors as pull requests


def find_source(source: str, *, allow_hub: bool, check: Callable[[Path], object] | None) -> tuple[Path, str]:
    """The folder of a source, and its origin in words: a folder itself, or a hub id with its commit.

    A hub id is `org/name` or `org/name@revision`. `check`, if given, judges the configuration before weights are
    downloaded.
    Raises InvalidValue, ModelNotFound, and NotReady for a download that fails.
    """
    try:
        folder = Path(source).expanduser()
    except RuntimeError as error:  # ~NAME, where nobody has that name
        raise InvalidValue(f"{source!r} is not a folder: {error}", param="source") from error
    if folder.is_dir():
        return folder, source
    if not allow_hub:
        raise ModelNotFound(
            f"{source!r} is not a folder; set CLOZE_ALLOW_HUB=1 to download it from the Hugging Face hub",
            param="source",
        )
    repository, _, revision = source.partition("@")
    folder = _download(source, repository, revision or None, check)
    return folder, f"{repository}@{folder.name}"  # the folder of a snapshot is named by its commit


def _download(source: str, repository: str, revision: str | None, check: Callable[[Path], object] | None) -> Path:
    """The local snapshot of a repository, without any file that the store would not take."""
    from huggingface_hub import HfApi, snapshot_download

    api = HfApi()
    with _explained(source, repository, revision):
        info = api.model_info(repository, revision=revision)
        names = [Path(each.rfilename) for each in info.siblings or ()]
        patterns = [*FILES, *MODULE_CHECKPOINTS]
        if not has_safetensors(names):
            converted = _conversion(api, repository) if revision is None else None
            if converted:
                info = converted
            else:
                patterns += _CHECKPOINTS
        small = snapshot_download(
            repository, revision=info.sha, allow_patterns=patterns, ignore_patterns=list(_WEIGHTS)
        )
    if check is not None:
        check(main_folder(Path(small)))
    with _explained(source, repository, revision):
        return Path(snapshot_download(repository, revision=info.sha, allow_patterns=patterns))


def _conversion(api: Any, repository: str) -> Any:
    """The newest pull request of the hub's own converter that holds safetensors; None if there is none."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        offered = list(api.get_repo_discussions(repository, author=_CONVERTER, discussion_type="pull_request"))
    except HfHubHTTPError:  # discussions are disabled, or the server has none
        return None
    for each in sorted(offered, key=lambda each: each.num, reverse=True):
        if each.author == _CONVERTER and each.status in ("open", "draft"):
            info = api.model_info(repository, revision=f"refs/pr/{each.num}")
            if has_safetensors(Path(file.rfilename) for file in info.siblings or ()):
                return info
    return None


@contextmanager
def _explained(source: str, repository: str, revision: str | None) -> Iterator[None]:
    """Raises the hub's errors as Cloze's."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise InvalidValue(f"{source!r} is neither a folder nor a hub id such as org/name", param="source") from error
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{repository!r} is gated: ask for access on its page, and log in with `hf auth login`", param="source"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(f"the hub has no public model {repository!r}", param="source") from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{repository!r} has no revision {revision!r}", param="source") from error
    except (HfHubHTTPError, OSError) as error:
        raise NotReady(f"{source!r} could not be downloaded: {str(error).splitlines()[0]}") from error
