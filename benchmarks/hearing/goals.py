"""What the product is meant to reach at 60 and 70 dB SPL; printed beside what it does reach."""

from typing import Any

LEVELS = (60, 70)

GOALS: dict[tuple[str, ...], tuple[float, float]] = {
    ("no_collar", "der"): (0.12, 0.20),
    ("attribution", "accuracy"): (0.985, 0.96),
    ("directions", "ours", "within_10"): (0.92, 0.80),
    ("turn_latency_p95_s",): (1.5, 1.5),
    ("cpu_s_per_s",): (0.25, 0.25),
    ("sound", "the beam, blind", "wer"): (0.33, 0.65),
    ("sound", "the beam, blind", "stoi"): (0.75, 0.60),
}
"""By the path of a figure, for each of ``LEVELS``: at least this where more is better, else at
most. Shares, seconds, or CPU-seconds per second, as the figures are."""


def cells(path: tuple[str, ...], scale: float, digits: int) -> str:
    """The goals of a figure as columns of the printed table; empty where there are none."""
    return "".join(f"{scale * goal:8.{digits}f}" for goal in GOALS.get(path, ()))


def stored() -> dict[str, Any]:
    """The goals as they stand in ``figures.json``: by figure, then by level."""
    return {
        "/".join(path): dict(zip(map(str, LEVELS), goals, strict=True))
        for path, goals in GOALS.items()
    }
