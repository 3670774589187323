"""Yields this process's share of the processor and of memory to others."""

import os
from contextlib import suppress

from app.system.proc import PROC


def lower_priority(niceness: int) -> None:
    """Adds `niceness` to the process's own. The process must have a session of its own.

    Linux shares the processor among sessions first and heeds niceness only within one (`autogroup` in
    sched(7)), so the session is made as nice as the process.
    """
    os.nice(niceness)
    with suppress(OSError):  # a kernel without autogroups
        (PROC / "self/autogroup").write_text(str(niceness))


def offer_to_oom_killer(score: int) -> None:
    """Makes the kernel end this process before its parent where memory runs out. score: up to 1000."""
    with suppress(OSError):
        (PROC / "self/oom_score_adj").write_text(str(score))
