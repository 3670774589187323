"""Whom a new job tells of its states."""

from app.api.schemas.job_watch import WebhookRequest
from app.errors import InvalidValue
from app.jobs.addresses import is_private_host
from app.jobs.spec import Webhook
from app.settings import Settings


def resolve_webhook(request: WebhookRequest | None, settings: Settings) -> Webhook | None:
    """What was asked for, else the operator's. Raises InvalidValue for an address that is not allowed.

    Names are looked up when something is sent, and refused then.
    """
    if request is None:
        return Webhook() if settings.webhook_url else None
    if not settings.webhook_allow_private and is_private_host(request.host):
        message = "`webhook.url` leads to a private address; CLOZE_WEBHOOK_ALLOW_PRIVATE allows that"
        raise InvalidValue(message, param="webhook.url")
    return Webhook(url=request.url, secret=request.secret, events=tuple(request.events))
