"""Findings of an attempt about its run, as changes of the job's record. Each is told once."""

from collections.abc import Callable, Mapping
from typing import Any

from app.jobs import transitions
from app.jobs.events import Level, NewEvent
from app.jobs.repository import Change
from app.jobs.spec import Job, Verdict


def record_chosen(chosen: Mapping[str, Any], message: str) -> Callable[[Job, float], Change]:
    """Returns the change that records what the run trains with. A verdict on other choices is no longer valid."""

    def decide(job: Job, now: float) -> Change:
        if job.chosen == dict(chosen):
            return Change(job)
        event = NewEvent(message, data={"chosen": dict(chosen)})
        return Change(transitions.replace(job, chosen=dict(chosen), verdict=None), [event])

    return decide


def record_verdict(verdict: Verdict) -> Callable[[Job, float], Change]:
    """Returns the change that records the verdict on the run."""

    def decide(job: Job, now: float) -> Change:
        if job.verdict == verdict:
            return Change(job)
        level: Level = "warn" if verdict.learnt is False or verdict.overfitted else "info"
        event = NewEvent(f"{verdict.summary} {verdict.advice}", level, data={"verdict": verdict.model_dump()})
        return Change(transitions.replace(job, verdict=verdict), [event])

    return decide
