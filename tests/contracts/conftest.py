"""What the contract suite shares."""

from collections.abc import Iterator

import pytest

from app.modalities.registry import registered
from tests.fakes.pools import _pools, runs_share_processes  # noqa: F401
from tests.toy_modality import SENSOR


@pytest.fixture(scope="module", autouse=True)
def sensors_are_registered() -> Iterator[None]:
    """The modality from outside app/ keeps the same promises."""
    with registered(SENSOR):
        yield
