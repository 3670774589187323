"""Results of fill-mask for options of candidates. No torch: the API reads these."""

from dataclasses import dataclass

from app.modalities.text.items import MaskPrediction, RankedToken


@dataclass(frozen=True)
class MeasuredPrediction(MaskPrediction):
    """A prediction with what was measured of its mask. None: not asked for.

    entropy: in nats, over the whole vocabulary. samples: in the order in which they were drawn.
    """

    entropy: float | None = None
    samples: list[RankedToken] | None = None
