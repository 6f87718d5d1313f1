"""Speaker turns on a made-up room: two voices at two places, told apart by a fake encoder."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bayscribe.diarize.config import DiarizeConfig
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.diarize.turns import SpeakerTurns
from bayscribe.stream import Pcm, SpeechFrame, Track, TrackFrame, Turn
from bayscribe.units import SampleIndex

FRAME = 1600
LOUD, QUIET = 4000, 40

SCRIPT = ((1.0, 6.0, 0), (7.0, 12.0, 1), (13.0, 18.0, 0), (19.0, 24.0, 1))
"""Seconds from, to, and who: an odd sample is voice 1's, an even one voice 0's."""


def _voices() -> NDArray[np.float64]:
    rng = np.random.default_rng(3)
    both = rng.standard_normal((2, 192))
    unit: NDArray[np.float64] = both / np.linalg.norm(both, axis=1, keepdims=True)
    return unit


VOICES = _voices()


class Hearing:
    """Stands for the encoder: mixes the voices by whose samples a window holds."""

    def encode(self, pcm: Pcm) -> np.ndarray:
        noise = np.random.default_rng(abs(int(pcm.astype(np.int64).sum()))).standard_normal(192)
        loud = pcm[np.abs(pcm) > 500]
        mixed = 0.06 * noise
        if len(loud):
            share = float((loud % 2).mean())
            mixed = mixed + (1 - share) * VOICES[0] + share * VOICES[1]
        return (mixed / np.linalg.norm(mixed)).astype(np.float32)


class Energy:
    """Stands for the voice activity network: loud is speech."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._at: int | None = None
        self._held = np.zeros(0, np.int16)

    def push(self, first: SampleIndex, beam: Pcm) -> list[SpeechFrame]:
        self._at = int(first) if self._at is None else self._at
        self._held = np.concatenate([self._held, beam])
        frames = []
        while len(self._held) >= 512:
            frame, self._held = self._held[:512], self._held[512:]
            self._at += 512
            heard = 0.9 if np.abs(frame).max() > 500 else 0.01
            frames.append(SpeechFrame(SampleIndex(self._at), heard))
        return frames


def _scene(script: Sequence[tuple[float, float, int]] = SCRIPT, seconds: float = 25.0) -> Pcm:
    rng = np.random.default_rng(7)
    pcm = rng.integers(-QUIET, QUIET, int(seconds * 16000)).astype(np.int16)
    for begin, end, who in script:
        low, high = int(begin * 16000), int(end * 16000)
        pcm[low:high] = rng.integers(-LOUD, LOUD, high - low) // 2 * 2 + who
    return pcm


def _tracks(count: int, script: Sequence[tuple[float, float, int]] = SCRIPT) -> list[TrackFrame]:
    frames = []
    for k in range(count // FRAME):
        who = [w for begin, end, w in script if begin <= k / 10 < end]
        tracks = (Track(1 + who[0], 60.0 + 150.0 * who[0], 0.9),) if who else ()
        frames.append(TrackFrame(SampleIndex((k + 1) * FRAME), tracks))
    return frames


def _print(label: str, voice: int) -> Voiceprint:
    anchor = VOICES[voice].astype(np.float32)
    return Voiceprint(label, anchor[None], anchor)


def _run(
    stage: SpeakerTurns,
    pcm: Pcm,
    cuts: Sequence[int] = (),
    first: int = 0,
    script: Sequence[tuple[float, float, int]] = SCRIPT,
) -> tuple[list[Turn], list[float]]:
    """All turns, and by how much each lies behind the beam's end, in seconds."""
    turns: list[Turn] = []
    late = []
    at = 0
    tracks = _tracks(len(pcm), script)
    for end in [*sorted(cuts), len(pcm)]:
        known = [t for t in tracks if at < t.at <= end]
        moved = [replace(t, at=SampleIndex(t.at + first)) for t in known]
        block = pcm[at:end]
        mics = np.zeros((len(block), 4), np.int16)
        said = stage.push(SampleIndex(first + at), block, mics, moved).turns
        turns += said
        late += [(first + end - turn.end) / 16000 for turn in said if turn.revises is None]
        at = end
    return turns + list(stage.flush().turns), late


def _stage(voices: Sequence[Voiceprint], primary: str | None = None) -> SpeakerTurns:
    # The two stand-ins have the networks' interfaces, not their classes.
    return SpeakerTurns(Energy(), Hearing(), voices, primary)  # type: ignore[arg-type]


def _in_force(turns: Sequence[Turn]) -> list[Turn]:
    replaced = {turn.revises for turn in turns}
    return sorted((t for t in turns if t.id not in replaced), key=lambda t: t.start)


def _says(turns: Sequence[Turn], second: float) -> str | None:
    at = second * 16000
    return next((t.label for t in _in_force(turns) if t.start <= at < t.end), None)


def _every(seconds: float, count: int) -> range:
    step = int(seconds * 16000)
    return range(step, count, step)


def test_an_enrolled_clinician_is_told_from_a_stranger() -> None:
    pcm = _scene()
    turns, _ = _run(_stage([_print("clinician", 0)], "clinician"), pcm, _every(0.1, len(pcm)))
    for begin, end, who in SCRIPT[2:]:
        label = _says(turns, (begin + end) / 2)
        assert label == ("clinician" if who == 0 else "unknown-1")
    assert all(turn.primary == (turn.label == "clinician") for turn in turns)


def test_pauses_belong_to_nobody() -> None:
    pcm = _scene()
    turns, _ = _run(_stage([_print("clinician", 0)], "clinician"), pcm, _every(0.1, len(pcm)))
    assert _says(turns, 0.3) is None
    assert _says(turns, 24.7) is None


def test_without_enrolment_who_talks_most_leads() -> None:
    script = ((1.0, 12.0, 1), (13.0, 15.5, 0), (16.5, 24.0, 1))
    pcm = _scene(script)
    turns, _ = _run(_stage([]), pcm, _every(0.1, len(pcm)), script=script)
    last = _in_force(turns)[-1]
    assert last.primary
    assert last.label.startswith("unknown-")


def test_a_turn_is_out_within_a_second_of_the_beam() -> None:
    pcm = _scene()
    _, late = _run(_stage([_print("clinician", 0)], "clinician"), pcm, _every(0.1, len(pcm)))
    assert late
    assert np.percentile(late, 95) <= 1.0


def test_nothing_is_rewritten_more_than_ten_seconds_back() -> None:
    pcm = _scene()
    turns, _ = _run(_stage([_print("clinician", 0)], "clinician"), pcm, _every(0.1, len(pcm)))
    for turn in turns:
        if turn.revises is not None:
            assert turn.emitted_at - turn.start <= 10 * 16000


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 25 * 16000 - 1), max_size=12, unique=True))
def test_the_same_turns_whatever_the_chunking(cuts: list[int]) -> None:
    pcm = _scene()
    whole, _ = _run(_stage([_print("clinician", 0)], "clinician"), pcm)
    parts, _ = _run(_stage([_print("clinician", 0)], "clinician"), pcm, cuts)
    plain = [replace(turn, emitted_at=SampleIndex(0)) for turn in whole]
    assert [replace(turn, emitted_at=SampleIndex(0)) for turn in parts] == plain


def test_voices_and_labels_survive_a_jump() -> None:
    pcm = _scene()
    stage = _stage([_print("clinician", 0)], "clinician")
    _run(stage, pcm, _every(0.1, len(pcm)))
    later, _ = _run(stage, pcm, _every(0.1, len(pcm)), first=len(pcm) + 320_007)
    assert all(turn.start >= len(pcm) + 320_007 for turn in later)
    labels = {turn.label for turn in later}
    assert labels == {"clinician", "unknown-1"}


@pytest.mark.parametrize("widest", [20.0, 75.0])
def test_a_known_voice_cannot_drift_onto_another(widest: float) -> None:
    config = DiarizeConfig(widest_drift_deg=widest)
    stage = SpeakerTurns(
        Energy(),  # type: ignore[arg-type]  # stand-in with the network's interface
        Hearing(),  # type: ignore[arg-type]  # likewise
        [_print("clinician", 0)],
        "clinician",
        config,
    )
    pcm = _scene(((0.5, 24.5, 1),))
    _run(stage, pcm, _every(0.1, len(pcm)))
    person = stage.people.persons[0]
    mean = stage.people.mean
    anchor = VOICES[0].astype(np.float32) - mean
    anchor /= np.linalg.norm(anchor)
    angle = np.degrees(np.arccos(np.clip(person.voice @ anchor, -1.0, 1.0)))
    assert angle <= widest + 0.01
