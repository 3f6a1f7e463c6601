"""Quantiles of a sequence of values."""

import math
from collections.abc import Sequence

MEDIAN, MOST, NEARLY_ALL = 0.5, 0.9, 0.99


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 90th and the 99th percentile."""
    return quantile(values, MEDIAN), quantile(values, MOST), quantile(values, NEARLY_ALL)
