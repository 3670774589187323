"""Supervision of the embedded Redis: restarts it after a crash, also on a full disk."""

import logging
import time
from collections.abc import Callable

from app.errors import AppError
from app.jobs.connection import EmbeddedRedis
from app.system.disk_space import Ballast
from app.system.supervision import RestartPause

_LOADING = 60.0  # seconds to wait for the first start
_POLL = 0.01  # seconds
_CONSEQUENCE = "Inference continues; files and jobs answer 503"

_log = logging.getLogger(__name__)


class RedisSupervisor:
    """Runs the embedded Redis. Use it on the main thread: the kernel ends Redis with the thread that started it.

    Redis exits when it cannot write, for example on a full disk. The `ballast` is then deleted, which makes room for
    the small writes of ending jobs and of deletions. If there is still no room, the restart waits for some.
    """

    def __init__(
        self, server: EmbeddedRedis, *, ballast: Ballast | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._server, self._clock = server, clock
        self._ballast = ballast or Ballast(server.folder / "ballast")
        self._launched_at = clock()
        self._pause = RestartPause()
        self._restart_at: float | None = None  # None: no restart is planned
        self._answers = False
        self._waits_for_room = False

    def start(self) -> None:
        """Starts Redis. Returns when it answers or has failed; then `check` tries again."""
        deadline = self._clock() + _LOADING
        self._launch()
        while self._restart_at is None and not self._answers and self._clock() < deadline:
            self.check()
            time.sleep(_POLL)

    def check(self) -> None:
        """Restarts an ended Redis after its pause. Call it several times a second."""
        now = self._clock()
        if self._restart_at is None and self._server.alive:
            self._notice_answers()
        elif self._restart_at is None:
            self._plan_restart(now, f"redis-server has ended: {self._server.last_words()}")
        elif now >= self._restart_at and self._has_room():
            _log.info("starting redis-server again")
            self._launch()

    def _launch(self) -> None:
        self._answers, self._restart_at, self._launched_at = False, None, self._clock()
        try:
            self._server.launch()
        except (AppError, OSError) as error:
            self._plan_restart(self._launched_at, f"redis-server does not start: {error}")

    def _plan_restart(self, now: float, reason: str) -> None:
        pause = self._pause.next(now - self._launched_at)
        _log.error("%s. %s. Trying again in %.1f s", reason, _CONSEQUENCE, pause)
        self._restart_at = now + pause

    def _has_room(self) -> bool:
        has_room = self._ballast.make_room()
        if not has_room and not self._waits_for_room:
            _log.error("the disk of %s is full. %s until there is space", self._server.folder, _CONSEQUENCE)
        self._waits_for_room = not has_room
        return has_room

    def _notice_answers(self) -> None:
        if not self._answers:
            try:
                self._answers = self._server.answers()
            except OSError as error:  # the address could not be written, because the disk is full
                _log.warning("the address of redis-server is not announced: %s", error)
                return
            if self._answers and self._pause.deaths:
                _log.warning("redis-server answers: files and jobs are available again")
        self._ballast.restore()
