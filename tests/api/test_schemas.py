"""Bodies by themselves."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from app.api.schemas.fill_mask import FillMaskRequest
from app.api.schemas.job_watch import WebhookRequest
from app.api.schemas.jobs import JobRequest
from app.api.schemas.reconstruct import MaskFields

WRONG = [1.5] * 10_000


@pytest.mark.parametrize(
    "read",
    [
        lambda: FillMaskRequest(input="a [MASK]", targets=WRONG),
        lambda: MaskFields(boxes=WRONG),
        lambda: MaskFields(ranges=WRONG),
        lambda: JobRequest(model="bert-tiny", training_files=WRONG[:1000]),
        lambda: WebhookRequest(url="http://x", secret="whsec_" + "QUJD" * 8, events=WRONG),
    ],
)
def test_of_many_wrong_values_the_first_is_told(read: Callable[[], Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        read()
    assert caught.value.error_count() <= 3  # a value that may be of several kinds has an error for each
