"""The webhook of a new job."""

from app.errors import InvalidValue
from app.jobs.kinds import Webhook
from app.settings import Settings
from app.system.addresses import is_private_host, parse_http_url


def resolve_webhook(requested: Webhook | None, settings: Settings) -> Webhook | None:
    """Returns the requested webhook, or else the operator's. Raises InvalidValue for a private address.

    A name is resolved when a delivery is made, and a private address is refused then.
    """
    if requested is None or requested.url is None:
        return Webhook() if settings.webhook_url else None
    if not settings.webhook_allow_private and is_private_host(parse_http_url(requested.url).host):
        message = "`webhook.url` leads to a private address; CLOZE_WEBHOOK_ALLOW_PRIVATE allows that"
        raise InvalidValue(message, param="webhook.url")
    return requested
