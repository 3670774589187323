"""The sources of imports: local folders, and repositories of the Hugging Face hub, which are downloaded."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeAlias

from app.errors import Forbidden, InvalidValue, ModelNotFound, NotReady, TooLarge
from app.store.adapters import ADAPTER_FILES, ADAPTER_WEIGHTS, is_adapter
from app.store.model_folder import (
    CHECKPOINTS,
    FILES,
    MODULE_CHECKPOINTS,
    TRANSFORMER,
    check_shards,
    check_weights,
    has_safetensors,
)
from app.store.progress import ImportProgress

_CHECKPOINTS = (*CHECKPOINTS, *(f"{TRANSFORMER}/{name}" for name in CHECKPOINTS))
_WEIGHTS = ("*.safetensors", *_CHECKPOINTS, *MODULE_CHECKPOINTS, *ADAPTER_WEIGHTS)
# `org/name` and `org/name@revision`; the oldest repositories have no organisation.
_HUB_ID = re.compile(r"(?P<repository>(?:(?P<organization>\w[\w.-]*)/)?\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?")
_CONVERTER = "SFconvertbot"  # the hub's own account, which offers safetensors as pull requests


Check: TypeAlias = Callable[[Path], object]


@dataclass(frozen=True)
class HubAccess:
    """The operator's rules for downloads.

    organizations: those whose models may be downloaded; empty: all. max_bytes: of one model; None: no limit.
    """

    allowed: bool = False
    organizations: tuple[str, ...] = ()
    max_bytes: int | None = None

    def check(self, source: str) -> tuple[str, str | None]:
        """The repository and the revision of a hub id.

        Raises InvalidValue for a text that is not a hub id, and Forbidden for what the operator does not allow.
        """
        found = _HUB_ID.fullmatch(source)
        if found is None:
            raise InvalidValue(f"{source!r} is not a hub id such as org/name or org/name@revision", param="source")
        if not self.allowed:
            raise Forbidden(
                f"{source!r} is a hub id, and downloads are switched off: set CLOZE_ALLOW_HUB=1 to allow them",
                param="source",
            )
        if self.organizations and found["organization"] not in self.organizations:
            allowed = ", ".join(self.organizations)
            raise Forbidden(
                f"{source!r} is of an organization that is not allowed; CLOZE_HUB_ORGANIZATIONS has: {allowed}",
                param="source",
            )
        return found["repository"], found["revision"]

    def check_size(self, size: int) -> None:
        """Raises TooLarge for a model of more bytes than the operator allows."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise TooLarge(
                f"the model has {size:,} bytes; CLOZE_MAX_IMPORT_BYTES allows {self.max_bytes:,}", param="source"
            )


def find_source(source: str, access: HubAccess, check: Check | None, progress: ImportProgress) -> tuple[Path, str]:
    """The folder of a source, and its origin in words: a folder itself, or a hub id with its commit.

    Raises as `download` does, and ModelNotFound for what can only be a folder, which is not there.
    """
    try:
        folder = Path(source).expanduser()
    except RuntimeError as error:  # ~NAME, where nobody has that name
        raise InvalidValue(f"{source!r} is not a folder: {error}", param="source") from error
    if folder.is_dir():
        return folder, source
    if not access.allowed:
        raise ModelNotFound(
            f"{source!r} is not a folder; set CLOZE_ALLOW_HUB=1 to download it from the Hugging Face hub",
            param="source",
        )
    if not _HUB_ID.fullmatch(source):
        raise InvalidValue(f"{source!r} is neither a folder nor a hub id such as org/name", param="source")
    return download(source, access, check, progress)


def download(source: str, access: HubAccess, check: Check | None, progress: ImportProgress) -> tuple[Path, str]:
    """The local snapshot of a hub id, and its origin in words: the repository with its commit.

    It holds no file that the store would not take. `check`, if given, judges the configuration before weights are
    downloaded.
    Raises InvalidValue, Forbidden, ModelNotFound, TooLarge, and NotReady for a download that fails.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository, revision = access.check(source)
    api = HfApi()
    with _explained(source, repository, revision):
        info = api.model_info(repository, revision=revision, files_metadata=True)
        patterns = [*FILES, *MODULE_CHECKPOINTS]
        if is_adapter(_names(info)):
            patterns += ADAPTER_FILES
        else:
            check_weights(_names(info), source)
        if not has_safetensors(_names(info)):
            converted = _conversion(api, repository) if revision is None else None
            if converted:
                info = converted
            else:
                patterns += _CHECKPOINTS
        access.check_size(sum(_wanted(info, patterns).values()))
        progress.begin(f"Downloading {repository}")
        small = snapshot_download(
            repository,
            revision=info.sha,
            allow_patterns=patterns,
            ignore_patterns=list(_WEIGHTS),
            tqdm_class=_bar(ImportProgress()),  # files of a few KB
        )
    if check is not None:
        check(Path(small))
    check_shards(Path(small), _names(info))
    with _explained(source, repository, revision, Path(small), _wanted(info, patterns)):
        bar = _bar(progress)
        folder = Path(snapshot_download(repository, revision=info.sha, allow_patterns=patterns, tqdm_class=bar))
    return folder, f"{repository}@{folder.name}"  # the folder of a snapshot is named by its commit


def _names(info: Any) -> list[Path]:
    return [Path(each.rfilename) for each in info.siblings or ()]


def _wanted(info: Any, patterns: Iterable[str]) -> dict[str, int]:
    """The files that match the patterns, with their bytes as far as the hub tells them."""
    return {
        each.rfilename: each.size or 0
        for each in info.siblings or ()
        if any(fnmatch(each.rfilename, pattern) for pattern in patterns)
    }


def _bar(progress: ImportProgress) -> Any:
    """A class of progress bars that draws nothing and reports the bytes of a snapshot."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.of_bytes = options.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call]
            self.done = 0

        def update(self, n: float | None = 1) -> bool | None:
            if self.of_bytes:
                self.done += int(n or 0)  # tqdm itself counts nothing where bars are disabled
                progress.transfer(self.done, int(self.total or 0))
            updated: bool | None = super().update(n)
            return updated

    return Bar


def _conversion(api: Any, repository: str) -> Any:
    """The newest pull request of the hub's own converter that holds safetensors; None if there is none."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        offered = list(api.get_repo_discussions(repository, author=_CONVERTER, discussion_type="pull_request"))
    except HfHubHTTPError:  # discussions are disabled, or the server has none
        return None
    for each in sorted(offered, key=lambda each: each.num, reverse=True):
        if each.author == _CONVERTER and each.status in ("open", "draft"):
            info = api.model_info(repository, revision=f"refs/pr/{each.num}", files_metadata=True)
            if has_safetensors(_names(info)):
                return info
    return None


@contextmanager
def _explained(
    source: str, repository: str, revision: str | None, snapshot: Path | None = None, wanted: Iterable[str] = ()
) -> Iterator[None]:
    """Raises the hub's errors as Cloze's.

    snapshot: the folder that the `wanted` files are downloaded to; the message names those that are not there.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its own, httpx or httpx2

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
    except (httpx.HTTPError, OSError) as error:
        lacking = ", ".join(name for name in wanted if snapshot and not (snapshot / name).exists())
        reason = (str(error) or type(error).__name__).splitlines()[0]
        what = f"{lacking} of {source!r}" if lacking else repr(source)
        raise NotReady(f"{what} could not be downloaded: {reason}") from error
