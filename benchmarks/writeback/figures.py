"""Order statistics and the lines that figures are printed in."""

import math
import os
import platform
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def summary(values: Sequence[float], unit: str = "ms") -> str:
    """Median, 95th, 99th percentile and greatest value."""
    median, p95, p99 = (quantile(values, share) for share in (0.5, 0.95, 0.99))
    return (
        f"n {len(values)}  median {median:.0f} {unit}  p95 {p95:.0f} {unit}  "
        f"p99 {p99:.0f} {unit}  max {max(values, default=math.nan):.0f} {unit}"
    )


def machine() -> str:
    """What the figures were measured on, in one line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, "
        f"load average {load}"
    )
