"""The rehearsal of attribution: two people, one after the other, through the whole line."""

from collections import Counter
from typing import Any

from bayscribe.commission.outcome import Live, Outcome
from bayscribe.pipeline import Output, Pipeline
from bayscribe.stream import Block, Turn
from bayscribe.units import SAMPLE_RATE, SampleIndex

PART_S = 12.0
LEAST_SHARE = 0.7
LEAST_SPEECH_S = 2.0


class Rehearsal:
    """Two parts of twelve seconds: the clinician talks in the first, another in the second.

    Args:
        pipeline: new, with the enrolled voices.
        first: label of the voice that talks first; None when it is not enrolled.
    """

    def __init__(self, pipeline: Pipeline, first: str | None) -> None:
        self._pipeline = pipeline
        self._expected = first
        self._middle: SampleIndex | None = None
        self._heard = 0
        self._turns: dict[int, Turn] = {}

    def push(self, block: Block) -> Outcome | None:
        """Take the next block."""
        self._heard += len(block.pcm)
        if self._middle is None and self._heard >= PART_S * SAMPLE_RATE:
            self._middle = block.end  # by what was heard: a gap in the stream is nobody's part
        self._take(self._pipeline.push(block))
        if self._heard < 2 * PART_S * SAMPLE_RATE:
            return None
        self._take(self._pipeline.flush())
        return self._outcome()

    def _take(self, output: Output) -> None:
        for turn in output.turns:
            if turn.revises is not None:
                self._turns.pop(turn.revises, None)
            self._turns[turn.id] = turn

    def live(self) -> Live:
        """Whose part it is."""
        who = "the clinician" if self._heard < PART_S * SAMPLE_RATE else "somebody else"
        return Live(min(1.0, self._heard / (2 * PART_S * SAMPLE_RATE)), f"now {who} talks")

    def _outcome(self) -> Outcome:
        middle = self._middle or 0
        before, after = self._heard_in(0, middle), self._heard_in(middle, 1 << 62)
        first, second = _leading(before), _leading(after)
        figures: dict[str, Any] = {
            "first_part_s": {label: round(seconds, 1) for label, seconds in before.items()},
            "second_part_s": {label: round(seconds, 1) for label, seconds in after.items()},
        }
        advice = "Talk one after the other, at least half of the time, from different places."
        if first is None or second is None:
            part = "first" if first is None else "second"
            words = f"hardly anybody was heard in the {part} part"
        elif first[1] < LEAST_SHARE or second[1] < LEAST_SHARE:
            words = "the two voices were mixed up"
        elif first[0] == second[0]:
            words = f"both parts were heard as {first[0]}"
        elif self._expected is not None and first[0] != self._expected:
            words = f"{self._expected} was heard as {first[0]}"
            advice = "Enrol that voice again, in a quiet bay: `bayscribe voices add`."
        else:
            words = f"{first[0]}, then {second[0]}: the voices are told apart"
            return Outcome(True, words, figures)
        return Outcome(False, words, figures, advice)

    def _heard_in(self, begin: int, end: int) -> Counter[str]:
        seconds: Counter[str] = Counter()
        for turn in self._turns.values():
            overlap = min(turn.end, end) - max(turn.start, begin)
            if overlap > 0:
                seconds[turn.label] += overlap / SAMPLE_RATE  # type: ignore[assignment]  # seconds
        return seconds


def _leading(seconds: Counter[str]) -> tuple[str, float] | None:
    """Who was heard most, and the share of that; None if hardly anybody was heard."""
    whole = float(sum(seconds.values()))
    if whole < LEAST_SPEECH_S:
        return None
    label, most = seconds.most_common(1)[0]
    return label, most / whole
