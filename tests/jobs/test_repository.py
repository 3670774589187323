import itertools

import pytest

from app.errors import Conflict
from app.jobs.connection import Client
from app.jobs.jobs import Jobs
from app.jobs.kinds import JobState
from app.jobs.spec import ACTIONS, FINAL_STATES, TRANSITIONS, check_action, check_transition
from tests.fakes.jobs import make_spec


def test_only_the_tables_steps_are_allowed(redis: Client) -> None:
    job = Jobs(redis).create(make_spec(redis))
    for before, after in itertools.product(JobState, JobState):
        job = job.model_copy(update={"state": before})
        if before is after or after in TRANSITIONS[before]:
            check_transition(job, after)
        else:
            with pytest.raises(Conflict, match=f"is {before} and cannot become {after}"):
                check_transition(job, after)


def test_only_a_users_word_leads_out_of_an_end() -> None:
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} == FINAL_STATES
    assert {after for state in FINAL_STATES for after in TRANSITIONS[state]} == {JobState.QUEUED}


def test_every_action_says_why_it_is_refused(redis: Client) -> None:
    job = Jobs(redis).create(make_spec(redis))
    for action, state in itertools.product(ACTIONS, JobState):
        job = job.model_copy(update={"state": state})
        if state in ACTIONS[action]:
            check_action(job, action)
        else:
            with pytest.raises(Conflict, match=r"cannot be .*: only .* ones can"):
                check_action(job, action)
