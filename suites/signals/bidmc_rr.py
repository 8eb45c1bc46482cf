"""Tell how fast a patient breathes from a pulse oximeter and an electrocardiogram.

Source: the data set BIDMC32RR of Tan et al. 2020, arXiv 2006.10996, used by Gu et al. 2022,
"How to Train Your HiPPO", arXiv 2206.12037.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from suites.signals._bidmc import VitalSign


@final
@dataclass(frozen=True, kw_only=True)
class RespiratoryRate(VitalSign):
    """Breaths a minute; 12 to 20 are normal."""

    quantity: ClassVar[str] = "RR"
    windows: ClassVar[int | None] = None  # not confirmed for this sign
    record: ClassVar[int] = 4_001_463
    typical: ClassVar[float] = 16.0
