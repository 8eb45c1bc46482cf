"""Tell the blood's oxygen saturation from a pulse oximeter and an electrocardiogram.

Source: the data set BIDMC32SpO2 of Tan et al. 2020, arXiv 2006.10996, used by Gu et al. 2022,
"How to Train Your HiPPO", arXiv 2206.12037.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from suites.signals._bidmc import VitalSign


@final
@dataclass(frozen=True, kw_only=True)
class OxygenSaturation(VitalSign):
    """Per cent of the haemoglobin; 95 to 100 are normal."""

    quantity: ClassVar[str] = "SpO2"
    record: ClassVar[int] = 4_001_464
    typical: ClassVar[float] = 97.5
