"""Tell the heart rate from half a minute of a pulse oximeter and an electrocardiogram.

Source: the data set BIDMC32HR of Tan et al. 2020, arXiv 2006.10996, used by Gu et al. 2022,
"How to Train Your HiPPO", arXiv 2206.12037.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from suites.signals._bidmc import VitalSign


@final
@dataclass(frozen=True, kw_only=True)
class HeartRate(VitalSign):
    """Beats a minute; 60 to 100 are normal."""

    quantity: ClassVar[str] = "HR"
    record: ClassVar[int] = 4_001_456
    typical: ClassVar[float] = 80.0
