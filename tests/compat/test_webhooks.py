"""Webhooks as OpenAI's client reads them."""

import json
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from app.jobs.webhooks import sign_delivery

SECRET = "whsec_" + "c2VjcmV0" * 4  # 24 bytes
BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "fine_tuning.job.succeeded",
        "created_at": 1,
        "data": {"id": "ftjob-1"},
    }
)


def test_the_client_verifies_a_signature() -> None:
    webhooks = OpenAI(api_key="unused").webhooks
    headers = sign_delivery(SECRET, "evt_1", int(time.time()), BODY)
    event = webhooks.unwrap(BODY, headers, secret=SECRET)
    assert (event.type, event.data.id) == ("fine_tuning.job.succeeded", "ftjob-1")  # type: ignore[union-attr]
    with pytest.raises(InvalidWebhookSignatureError):
        webhooks.unwrap(BODY.replace("ftjob-1", "ftjob-2"), headers, secret=SECRET)
