"""One trainer process, from its start to its end, watched by the worker that claimed its job."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from app.jobs.kinds import JobState
from app.jobs.logs import last_lines, log_path
from app.jobs.spec import JobError
from app.jobs.worker_queue import Claim, LeaseLost, WorkerQueue
from app.system.cgroups import count_oom_kills
from app.system.disk_space import full_disk
from app.system.supervision import start_child

_POLL = 0.1  # seconds


class Supervisor:
    """Call `run` from the main thread: the kernel kills the trainer when the thread that began it ends.

    command: the trainer's, to which the job's id and the attempt are added.
    stopping: whether the worker was asked to stop; the trainer then has `drain_seconds` to save a
    checkpoint. A job that is cancelled, paused or late has `cancel_seconds` to reach its next step.
    oom_kills: how many processes the kernel has killed so far because memory ran out; None: unknown.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        claim: Claim,
        jobs_dir: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        stopping: Callable[[], bool],
        *,
        drain_seconds: float = 30.0,
        cancel_seconds: float = 120.0,
        oom_kills: Callable[[], int | None] = count_oom_kills,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.claim = claim
        self._queue = queue
        self._log = log_path(jobs_dir, claim.job_id, claim.attempt)
        self._command = [*command, claim.job_id, str(claim.attempt)]
        self._environment = dict(environment)
        self._stopping = stopping
        self._drain_seconds, self._cancel_seconds = drain_seconds, cancel_seconds
        self._oom_kills = oom_kills
        self._clock = clock
        self._lost = False
        self._told_to_stop = False

    def beat(self, lease_seconds: float) -> None:
        """Renews the lease; called from the worker's other thread."""
        try:
            job = self._queue.heartbeat(self.claim, lease_seconds)
        except LeaseLost:
            self._lost = True
        else:
            late = job.deadline is not None and (job.lease_until or 0.0) - lease_seconds >= job.deadline
            self._told_to_stop = late or job.pause_requested or job.state is JobState.CANCELLING

    def run(self) -> None:
        kills_before = self._oom_kills()
        opened = self._open_log()
        if opened is None:
            return
        with opened as log:
            process = start_child(self._command, signum=signal.SIGKILL, environment=self._environment, log=log)
        try:
            by_us = self.watch(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        by_other = process.returncode == -signal.SIGKILL and not by_us
        kills = self._oom_kills()
        out_of_memory = by_other and kills is not None and kills_before is not None and kills > kills_before
        reason = _ending(process.returncode)
        if out_of_memory:
            reason = "Memory ran out: the kernel killed the process of the job (SIGKILL)"
        elif by_other and kills is None:
            reason += ", which Cloze did not send: most likely the kernel did, as memory ran out"
        # A trainer that came to an end of its own has settled the job, and holds it no more.
        with contextlib.suppress(LeaseLost):
            self._queue.requeue(
                self.claim,
                reason,
                crashed=out_of_memory or not self._stopping(),
                out_of_memory=out_of_memory,
                last_lines=last_lines(self._log),
            )

    def _open_log(self) -> "IO[bytes] | None":
        """None if the disk is full; the job has failed then."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            return self._log.open("ab")
        except OSError as e:
            if (error := full_disk(e, "the disk of the worker's machine")) is None:
                raise
            with contextlib.suppress(LeaseLost):
                self._queue.fail(self.claim, JobError(code=error.code, message=error.message))
            return None

    def watch(self, process: "subprocess.Popen[bytes]") -> bool:
        """Waits for the process to end. Returns whether the supervisor killed it."""
        deadline: float | None = None
        told = False
        while process.poll() is None:
            if self._lost or (deadline is not None and self._clock() > deadline):
                process.kill()
                return True
            if self._stopping() and not told:
                told = True
                process.terminate()
                deadline = self._clock() + self._drain_seconds
            elif not told and not self._told_to_stop:
                deadline = None  # a request to pause was taken back
            elif deadline is None:
                deadline = self._clock() + self._cancel_seconds
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
        return False


def _ending(code: int) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return f"The process of the job {how}"
