from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from app.jobs.connection import Client, EmbeddedRedis, connect
from app.jobs.kinds import JobState
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.proxy import losing_reply_to

LEASE = 60.0


@pytest.fixture
def server_socket(redis_server: EmbeddedRedis) -> str:
    return unquote(urlsplit(redis_server.url).path)


def test_an_event_whose_commit_is_not_answered_is_there_once(redis: Client, server_socket: str, tmp_path: Path) -> None:
    direct = JobSystem(redis)
    direct.create(make_spec(redis))
    claim = direct.queue.claim("w1", LEASE)
    assert claim
    with losing_reply_to(b"XADD", server_socket, tmp_path) as url, connect(url) as client:
        JobSystem(client).queue.append_event(claim, "a plain message")
    messages = [event.message for event in direct.events(claim.job_id)[0]]
    assert messages.count("a plain message") == 1


def test_a_claim_whose_commit_is_not_answered_is_the_claimants(
    redis: Client, server_socket: str, tmp_path: Path
) -> None:
    direct = JobSystem(redis)
    job = direct.create(make_spec(redis))
    with losing_reply_to(b"XADD", server_socket, tmp_path) as url, connect(url) as client:
        claim = JobSystem(client).queue.claim("w1", LEASE)
    assert claim == (job.id, 1)
    assert direct.get(job.id).state is JobState.RUNNING
    assert direct.get(job.id).attempt == 1
