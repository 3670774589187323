"""What goes wrong with the files of others. Child processes import this, so it imports little."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import Busy, InvalidData
from app.media.images import decode_image

WAIT = 120.0  # seconds until a test that waits in vain fails; a busy machine takes ten times as long


def crash(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def damage(*_: Any) -> None:
    """The next call of this process makes it crash."""
    pickle.loads = crash  # type: ignore[assignment]


def hang(*_: Any) -> None:
    while True:
        pass


def sleep(*_: Any) -> None:
    time.sleep(3600)


def swell(*_: Any) -> None:
    np.ones(2**32, np.uint8)


def leave(*_: Any) -> None:
    os._exit(3)


def stumble(*_: Any) -> None:
    raise RuntimeError("<_io.BytesIO object at 0x7f>")


def refuse(message: str, param: str) -> None:
    raise InvalidData(message, param=param)


def be_busy() -> None:
    raise Busy("later", retry_after=7)


def touch_and_sleep(path: Path, *_: Any) -> None:
    """Says in a file which process it is, and does not end by itself."""
    own = path.with_suffix(f".{os.getpid()}")  # several processes may work on it at once
    own.write_text(str(os.getpid()))
    own.rename(path)
    sleep()


def begun(path: Path) -> int:
    """The process that works on `touch_and_sleep`, once it does."""
    deadline = time.monotonic() + WAIT
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def has_ended(pid: int) -> bool:
    """Waits for the end of a process, and says whether it came."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def lines(data: bytes) -> np.ndarray:
    """Of a picture, every line of pixels as a row; taller pictures have more of them."""
    return decode_image(data)[:, :4]


def narrow(data: bytes) -> np.ndarray:
    return decode_image(data)[:1, :2]


def after_the_first(folder: Path, fault: Callable[..., None]) -> Callable[[bytes], np.ndarray]:
    """Decodes one file, which `folder` remembers, and then has the fault."""
    return partial(_lines_or, fault, folder / "decoded")


def _lines_or(fault: Callable[..., None], decoded: Path, data: bytes) -> np.ndarray:
    if decoded.exists():
        fault()
    decoded.touch()
    return lines(data)


def imported() -> set[str]:
    """The libraries that this process has imported."""
    return {name.partition(".")[0] for name in sys.modules}
