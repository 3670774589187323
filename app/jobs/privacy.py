"""Keeps uploads, jobs and their logs from other users of the machine."""

import logging
from collections.abc import Iterable
from pathlib import Path

_OTHERS = 0o007

_log = logging.getLogger(__name__)


def hide_from_others(folders: Iterable[Path]) -> None:
    """Makes the folders where they are missing, and takes them from users outside their owner and group."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        if mode & _OTHERS:
            try:
                folder.chmod(mode & ~_OTHERS & 0o7777)
            except PermissionError:
                _log.warning("%s belongs to another user, who alone can hide it from others", folder)
