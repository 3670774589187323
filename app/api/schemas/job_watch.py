"""Bodies that show a running job: metrics, webhooks and their deliveries."""

from typing import Annotated, Literal

from pydantic import BaseModel, FailFast, Field, field_validator

from app.api.schemas.common import JsonBody
from app.jobs.kinds import JobState, Webhook
from app.jobs.metrics import Points
from app.jobs.webhooks import Delivery, signing_key
from app.system.addresses import parse_http_url


class MetricPoint(BaseModel):
    step: int
    value: float = Field(description="Value of the metric")
    time: float = Field(description="Unix time in seconds")


class MetricSeriesObject(BaseModel):
    object: Literal["pretraining.job.metric_series"] = "pretraining.job.metric_series"
    key: str = Field(description="Name of the metric")
    count: int = Field(description="Number of points of the series; `points` has at most `max_points` of them")
    points: list[MetricPoint] = Field(description="Points of the series, in order of their steps")


class MetricSeriesList(BaseModel):
    object: Literal["list"] = "list"
    data: list[MetricSeriesObject]


def series_object(key: str, count: int, points: Points) -> MetricSeriesObject:
    """points: [N, 3] step, value, time; the kept ones of `count`."""
    kept = [MetricPoint(step=int(step), value=value, time=time) for step, value, time in points.tolist()]
    return MetricSeriesObject(key=key, count=count, points=kept)


class WebhookRequest(JsonBody):
    """An address that is notified of every change of the job's state, signed after Standard Webhooks."""

    url: str = Field(max_length=2048, description="URL to notify, http or https; redirects are not followed")
    # Left out of every dump of the request, so that no manifest, digest or answer carries it.
    secret: str = Field(
        max_length=128,
        exclude=True,
        description="Secret that signs deliveries: `whsec_` and 24 to 64 random bytes in base64",
    )
    events: Annotated[list[JobState], FailFast()] = Field(
        [], max_length=100, description="States of the job that are reported; all by default"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parse_http_url(url)
        return url

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str) -> str:
        signing_key(secret)
        return secret

    def to_webhook(self) -> Webhook:
        return Webhook(url=self.url, secret=self.secret, events=tuple(self.events))


class WebhookObject(BaseModel):
    """A webhook without its secret."""

    url: str = Field(description="URL that is notified")
    events: list[JobState] = Field(description="States of the job that are reported; empty for all")


def webhook_object(webhook: Webhook | None) -> WebhookObject | None:
    """None also for the operator's, whose address is not the user's business."""
    if webhook is None or webhook.url is None:
        return None
    return WebhookObject(url=webhook.url, events=list(webhook.events))


class DeliveryObject(BaseModel):
    id: str = Field(description="Value of the header `webhook-id`, the same at every attempt")
    object: Literal["webhook.delivery"] = "webhook.delivery"
    type: str = Field(description="Type of the event, such as `fine_tuning.job.succeeded`")
    created_at: int
    status: Literal["pending", "delivered", "failed"] = Field(description="State of the delivery")
    attempts: int = Field(description="Number of attempts so far")
    last_attempt_at: int | None = Field(description="Unix time of the last attempt; null before the first one")
    next_attempt_at: int | None = Field(description="Unix time of the next attempt; null if there is none")
    response_status: int | None = Field(description="HTTP status of the last attempt; null without a response")
    error: str | None = Field(description="Error of the last attempt; null if there is none")


class DeliveryList(BaseModel):
    object: Literal["list"] = "list"
    data: list[DeliveryObject]


def delivery_object(delivery: Delivery) -> DeliveryObject:
    last, coming = delivery.last_attempt_at, delivery.next_attempt_at
    return DeliveryObject(
        id=delivery.id,
        type=delivery.type,
        created_at=int(delivery.created_at),
        status=delivery.status,
        attempts=delivery.attempts,
        last_attempt_at=None if last is None else int(last),
        next_attempt_at=None if coming is None else int(coming),
        response_status=delivery.response_status,
        error=delivery.error,
    )
