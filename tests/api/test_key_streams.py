"""A stream that is open when its key is revoked."""

from collections.abc import Callable
from typing import Any

from app.access.key_store import KeyStore
from app.jobs.connection import Client, EmbeddedRedis
from app.jobs.feed import EventFeed
from app.jobs.viewer import Viewer
from tests.fakes.cloze import wait_until
from tests.fakes.http import http
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.server import serving


def test_a_stream_ends_when_its_key_is_revoked(
    make_app: Callable[..., Any], redis: Client, redis_server: EmbeddedRedis, jobs: JobSystem, feed: EventFeed
) -> None:
    keys = KeyStore(redis, keeps_admin=False)
    key, secret = keys.create("client", ["jobs"])
    job = jobs.seen_by(Viewer(key.id, sees_all=False)).create(make_spec(redis))
    headers = {"authorization": f"Bearer {secret}", "accept": "text/event-stream"}

    with serving(make_app(jobs=jobs, feed=feed, keys_at=redis_server.url)) as url:
        with http.stream("GET", f"{url}/v1/pretraining/jobs/{job.id}/events", headers=headers) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            assert any(line.startswith("event: message") for line in lines)
            keys.revoke(key.id)
            wait_until(lambda: http.get(f"{url}/v1/models", headers=headers).status_code == 401)
            jobs.cancel(job.id)

            assert not [line for line in lines if "cancelled" in line]
        feed.end()
