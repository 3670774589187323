"""The owners of jobs and files: who sees which, and how many one may have."""

from dataclasses import dataclass

from app.errors import QuotaExceeded


@dataclass(frozen=True)
class Viewer:
    """The owner on whose behalf jobs and files are read and made.

    owner: the id of a key, which new objects carry; None: the operator. sees_all: whether objects of others are seen.
    max_jobs: of the owner's jobs that have not ended; max_bytes: of the owner's files. 0: no limit.
    """

    owner: str | None = None
    sees_all: bool = True
    max_jobs: int = 0
    max_bytes: int = 0

    def sees(self, owner: str | None) -> bool:
        return self.sees_all or owner == self.owner

    def check_jobs(self, active: int, more: int) -> None:
        """Raises QuotaExceeded if the owner, who has `active` jobs, may not have that many more."""
        if self.max_jobs and active + more > self.max_jobs:
            raise QuotaExceeded(
                f"this API key may have {self.max_jobs} jobs that have not ended, and has {active}", retry_after=60
            )


EVERYONE = Viewer()
