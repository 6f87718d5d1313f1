"""What one frame says about each channel by itself: dead, stuck, offset, clipped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayscribe.stream import FaultCode, Pcm

FULL_SCALE = 32_768

DEAD_BELOW_OTHERS_DB = 30.0
"""A microphone this far below the median of the others hears nothing; makers match to 3 dB."""

DC_RAISE, DC_CLEAR = 0.01, 0.005
"""Of full scale. Codecs remove their offset; one per cent is a broken input stage."""

CLIP_LEVEL = 32_760
"""Samples at or beyond it are at the rail, whatever rounding a driver does to it."""

CLIPPED_SAMPLES = 4
"""At the rail in one frame of 4096."""

FLAT_TOP_SHARE, FLAT_TOP_LEAST = 0.02, 4_000
"""Share of samples at a frame's own extreme that only a limiter in front of us makes. A clean
sine of amplitude A spends 2 / (pi sqrt(2 A)) there: 0.7 % at 4000."""

_KEY = 16
"""Samples that are searched for when a frame is tested for repeating itself."""


@dataclass(frozen=True, slots=True)
class LevelFindings:
    """Faults that one frame shows: bool (mics,) each; ``cleared`` where it shows the opposite.

    Attributes:
        shown: by fault.
        cleared: by fault.
        detail: a short figure for each, by fault and microphone.
    """

    shown: dict[FaultCode, NDArray[np.bool_]]
    cleared: dict[FaultCode, NDArray[np.bool_]]
    detail: dict[FaultCode, list[str]]


def examine(pcm: Pcm) -> LevelFindings:
    """Examine one frame: int16 (frames, mics)."""
    pcm = np.asfortranarray(pcm)  # every channel by itself: sums along it run ten times faster
    x = pcm.astype(np.float64)
    least, most = pcm.min(axis=0), pcm.max(axis=0)
    mean = x.mean(axis=0)
    power = x.var(axis=0)
    constant = least == most
    silent = constant & (most == 0)
    clipped = _clips(pcm, least, most, constant)
    faint, below_db = _below_others(power, constant | clipped)
    dead = silent | (faint & ~constant)
    stuck = (constant & ~silent) | _repeats(pcm, constant) | _copies(pcm, constant)
    offset = np.abs(mean) / FULL_SCALE
    return LevelFindings(
        shown={
            FaultCode.DEAD: dead,
            FaultCode.STUCK: stuck,
            FaultCode.DC: (offset > DC_RAISE) & ~constant & ~clipped,
            FaultCode.CLIPPED: clipped,
        },
        cleared={
            FaultCode.DEAD: ~dead,
            FaultCode.STUCK: ~stuck,
            FaultCode.DC: offset < DC_CLEAR,
            FaultCode.CLIPPED: ~clipped,
        },
        detail={
            FaultCode.DEAD: [
                "digital silence" if quiet else f"{db:.0f} dB below the others"
                for quiet, db in zip(silent, below_db, strict=True)
            ],
            FaultCode.STUCK: [f"repeats {value}" for value in most],
            FaultCode.DC: [f"{20 * np.log10(max(share, 1e-9)):.0f} dBFS DC" for share in offset],
            FaultCode.CLIPPED: [
                f"peaks {low} to {high}" for low, high in zip(least, most, strict=True)
            ],
        },
    )


def _below_others(
    power: NDArray[np.float64], unsound: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Microphones far below the median of the other sound ones, and by how many dB."""
    below = np.zeros(len(power))
    for mic in range(len(power)):
        others = [power[i] for i in range(len(power)) if i != mic and not unsound[i]]
        if others:
            below[mic] = 10 * np.log10((np.median(others) + 1e-9) / (power[mic] + 1e-9))
    return below > DEAD_BELOW_OTHERS_DB, below


def _repeats(pcm: Pcm, constant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Channels that are one stretch over and over, sample for sample."""
    found = np.zeros(pcm.shape[1], dtype=np.bool_)
    half = len(pcm) // 2
    for mic in np.flatnonzero(~constant):
        x = np.ascontiguousarray(pcm[:, mic])
        starts = np.flatnonzero(x[1:half] == x[0]) + 1
        for offset in range(1, _KEY):
            starts = starts[x[starts + offset] == x[offset]]
            if not len(starts):
                break
        found[mic] = any(np.array_equal(x[lag:], x[:-lag]) for lag in starts[:4])
    return found


def _copies(pcm: Pcm, constant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Channels that are another one, sample for sample; a stereo source may be mono."""
    found = np.zeros(pcm.shape[1], dtype=np.bool_)
    if pcm.shape[1] < 3:
        return found
    for mic in range(1, pcm.shape[1]):
        found[mic] = not constant[mic] and any(
            np.array_equal(pcm[:, mic], pcm[:, other]) for other in range(mic)
        )
    return found


def _clips(
    pcm: Pcm, least: NDArray[np.int16], most: NDArray[np.int16], constant: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    at_rail = ((pcm >= CLIP_LEVEL) | (pcm <= -CLIP_LEVEL)).sum(axis=0) >= CLIPPED_SAMPLES
    high = ((pcm == most).mean(axis=0) > FLAT_TOP_SHARE) & (most > FLAT_TOP_LEAST)
    low = ((pcm == least).mean(axis=0) > FLAT_TOP_SHARE) & (least < -FLAT_TOP_LEAST)
    clipped: NDArray[np.bool_] = (at_rail | high | low) & ~constant
    return clipped
