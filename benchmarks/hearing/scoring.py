"""Scores of what was heard against what is true.

Times are seconds, angles degrees, signals mono arrays at one rate. Diarization
error and attribution count frames of 10 ms; a frame within the collar of a
reference boundary is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FRAME_S = 0.01

Flags = NDArray[np.bool_]
Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """One stretch of speech, from ``start`` to ``end`` seconds, by ``label``."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class DiarizationError:
    """Speaker-seconds in error and in the reference; the rates are their quotients."""

    missed: float
    false_alarm: float
    confusion: float
    total: float

    @property
    def rate(self) -> float:
        """Diarization error rate: all errors over the reference's speaker-seconds."""
        return (self.missed + self.false_alarm + self.confusion) / self.total


@dataclass(frozen=True)
class Attribution:
    """Seconds with exactly one reference talker, by what was said of them."""

    correct: float
    undetected: float
    missed: float
    false: float
    abstained: float
    total: float

    @property
    def accuracy(self) -> float:
        """Share of the seconds given rightly; undetected speech is wrong."""
        return self.correct / self.total


@dataclass(frozen=True)
class DirectionError:
    """Azimuth error over the frames with one talker; a frame without estimate is a miss."""

    within_10: float
    within_20: float
    median: float
    missed: float


def read_rttm(path: Path) -> list[Turn]:
    """Turns of an RTTM file.

    Raises:
        ValueError: a SPEAKER line has too few fields or no number where one belongs.
    """
    turns = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start = float(fields[3])
            turns.append(Turn(start, start + float(fields[4]), fields[7]))
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path}:{number}: not an RTTM line") from error
    return turns


def activity(turns: Sequence[Turn], duration: float) -> dict[str, Flags]:
    """Per label, which frames of 10 ms it speaks in."""
    frames = round(duration / FRAME_S)
    active: dict[str, Flags] = {}
    for turn in turns:
        flags = active.setdefault(turn.label, np.zeros(frames, dtype=np.bool_))
        flags[max(0, round(turn.start / FRAME_S)) : max(0, round(turn.end / FRAME_S))] = True
    return active


def scored_frames(reference: Sequence[Turn], duration: float, collar: float) -> Flags:
    """Frames that count: all but those within ``collar`` of a reference boundary."""
    frames = round(duration / FRAME_S)
    scored = np.ones(frames, dtype=np.bool_)
    width = round(collar / FRAME_S)
    if width:
        for turn in reference:
            for edge in (round(turn.start / FRAME_S), round(turn.end / FRAME_S)):
                scored[max(0, edge - width) : max(0, edge + width)] = False
    return scored


def _stack(active: dict[str, Flags], scored: Flags) -> NDArray[np.int64]:
    rows = [flags[scored] for flags in active.values()]
    return np.array(rows, dtype=np.int64).reshape(len(rows), int(scored.sum()))


def diarization_error(
    reference: Sequence[Turn], heard: Sequence[Turn], duration: float, collar: float = 0.0
) -> DiarizationError:
    """Diarization error, overlaps included, under the mapping of labels that is best.

    The definition of the NIST rich transcription evaluations: per frame, the
    excess of reference speakers is missed, the excess of heard ones a false
    alarm, and of those in both the ones not mapped to each other are confused.
    """
    scored = scored_frames(reference, duration, collar)
    truth = _stack(activity(reference, duration), scored)
    guess = _stack(activity(heard, duration), scored)
    shared = truth @ guess.T
    rows, columns = linear_sum_assignment(shared, maximize=True)
    matched = int(shared[rows, columns].sum())
    wanted, given = truth.sum(axis=0), guess.sum(axis=0)
    both = int(np.minimum(wanted, given).sum())
    return DiarizationError(
        missed=float(np.maximum(wanted - given, 0).sum()) * FRAME_S,
        false_alarm=float(np.maximum(given - wanted, 0).sum()) * FRAME_S,
        confusion=(both - matched) * FRAME_S,
        total=float(wanted.sum()) * FRAME_S,
    )


def errors_over_time(
    reference: Sequence[Turn], heard: Sequence[Turn], duration: float
) -> NDArray[np.int64]:
    """Speakers missed, false and confused in each frame, (3, frames), under the best mapping."""
    everything = np.ones(round(duration / FRAME_S), dtype=np.bool_)
    truth = _stack(activity(reference, duration), everything)
    guess = _stack(activity(heard, duration), everything)
    rows, columns = linear_sum_assignment(truth @ guess.T, maximize=True)
    wanted, given = truth.sum(axis=0), guess.sum(axis=0)
    matched = (truth[rows] & guess[columns]).sum(axis=0)
    both = np.minimum(wanted, given)
    kinds = [np.maximum(wanted - given, 0), np.maximum(given - wanted, 0), both - matched]
    return np.asarray(np.stack(kinds), np.int64)


def attribution(
    reference: Sequence[Turn],
    heard: Sequence[Turn],
    duration: float,
    primary: str,
    collar: float = 0.0,
) -> Attribution:
    """Primary-clinician attribution over frames with exactly one reference talker.

    A frame counts as given to the primary when that label is among those heard
    in it. ``missed`` is the primary's speech given to another label, of which
    ``abstained`` went to an ``unknown-`` label; ``false`` is another's speech
    given to the primary; ``undetected`` is anybody's speech without a label.
    """
    frames = round(duration / FRAME_S)
    silent = np.zeros(frames, dtype=np.bool_)
    truth = activity(reference, duration)
    guess = activity(heard, duration)
    count = np.sum(list(truth.values()), axis=0) if truth else np.zeros(frames)
    single = (count == 1) & scored_frames(reference, duration, collar)
    own, claimed = truth.get(primary, silent), guess.get(primary, silent)
    detected = np.logical_or.reduce([silent, *guess.values()])
    named = np.logical_or.reduce(
        [silent, *(flags for label, flags in guess.items() if not label.startswith("unknown-"))]
    )

    def seconds(flags: Flags) -> float:
        return float((single & flags).sum()) * FRAME_S

    return Attribution(
        correct=seconds(own & claimed) + seconds(~own & detected & ~claimed),
        undetected=seconds(~detected),
        missed=seconds(own & detected & ~claimed),
        false=seconds(~own & claimed),
        abstained=seconds(own & detected & ~named),
        total=seconds(~silent),
    )


def reliability(
    reference: Sequence[Turn],
    claims: Sequence[tuple[Turn, bool, float]],
    duration: float,
    primary: str,
) -> tuple[float, float]:
    """What stated confidences are worth, over frames with exactly one reference talker.

    Args:
        reference: the truth.
        claims: turns, each with whether it is given to the primary and the confidence in that.
        duration: seconds.
        primary: whose turns are told apart from everybody's.

    Returns:
        the expected calibration error over ten equal bins of confidence, and the mean confidence
        less the share that was right: above zero it is over-confident. NaN without claims.
    """
    truth = activity(reference, duration)
    frames = round(duration / FRAME_S)
    single = (np.sum(list(truth.values()), axis=0) if truth else np.zeros(frames)) == 1
    own = truth.get(primary, np.zeros(frames, dtype=np.bool_))
    said, right = list[float](), list[bool]()
    for turn, is_primary, confidence in claims:
        (here,) = activity([turn], duration).values()
        said += [confidence] * int((here & single).sum())
        right += (own[here & single] == is_primary).tolist()
    if not said:
        return float("nan"), float("nan")
    chances, outcomes = np.array(said), np.array(right, dtype=np.float64)
    bins = np.minimum((10 * chances).astype(np.int64), 9)
    gaps = np.bincount(bins, chances - outcomes, minlength=10)
    return float(np.abs(gaps).sum() / len(said)), float((chances - outcomes).mean())


def direction_error(truth: Sequence[float], estimates: Sequence[float | None]) -> DirectionError:
    """Azimuth error of paired frames; angles wrap, None is a frame without estimate.

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    if len(truth) != len(estimates) or not truth:
        raise ValueError("direction needs as many estimates as true angles, at least one")
    errors = np.array(
        [
            np.inf if guess is None else abs((guess - angle + 180.0) % 360.0 - 180.0)
            for angle, guess in zip(truth, estimates, strict=True)
        ]
    )
    found = errors[np.isfinite(errors)]
    return DirectionError(
        within_10=float(np.mean(errors <= 10.0)),
        within_20=float(np.mean(errors <= 20.0)),
        median=float(np.median(found)) if found.size else float("nan"),
        missed=float(np.mean(~np.isfinite(errors))),
    )


def si_sdr(reference: Signal, signal: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., ICASSP 2019).

    Raises:
        ValueError: the reference is silent, so that there is nothing to compare with.
    """
    target = reference - reference.mean()
    heard = signal - signal.mean()
    energy = float(target @ target)
    if energy == 0.0:
        raise ValueError("SI-SDR against a silent reference")
    part = (float(heard @ target) / energy) * target
    rest = float(((heard - part) ** 2).sum())
    power = float((part**2).sum())
    with np.errstate(divide="ignore"):
        return float(10.0 * np.log10(np.float64(power) / np.float64(rest))) if rest else np.inf


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Least number of words inserted, deleted or replaced (Levenshtein's distance)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(heard, 1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], cost
    return row[-1]


def percentiles(delays: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile of delays; NaN for both where there are none."""
    if not delays:
        return float("nan"), float("nan")
    return float(np.percentile(delays, 50)), float(np.percentile(delays, 95))
