"""From a script to a timeline: who says what, when, and over whom."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenes.levels import SAMPLE_RATE, Signal, active_spans
from benchmarks.scenes.voices import Speech, Voice

SCRIPTS = Path(__file__).resolve().parent / "scripts"
"""Where the scripts lie, one TOML file each."""

SENTENCE_PAUSE_S = (0.22, 0.5)
TURN_GAP_S = (0.2, 0.75)
OVERLAP_S = (0.5, 1.4)
LEAD_IN_S = 2.5
LEAD_OUT_S = 1.5


@dataclass(frozen=True, slots=True)
class ScriptTurn:
    """One turn as written: the role and its sentences."""

    role: str
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One spoken sentence.

    Attributes:
        text: what is said.
        first: first sample in the scene.
        end: sample after the last.
    """

    text: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn in the scene.

    Attributes:
        role: who speaks.
        first: sample at which the dry utterance begins.
        audio: dry speech at RMS 0.05 while active, float64 (frames,).
        active: (first, end) scene samples of speech proper.
        sentences: what is said when.
    """

    role: str
    first: int
    audio: Signal
    active: tuple[tuple[int, int], ...]
    sentences: tuple[Sentence, ...]

    @property
    def end(self) -> int:
        """Sample after the last of the dry utterance."""
        return self.first + len(self.audio)


def load_script(name: str) -> tuple[list[str], list[ScriptTurn]]:
    """Roles and turns of a script.

    Args:
        name: file name without suffix under ``scripts/``, or a path to a TOML file.
    """
    data = _read(name)
    turns = [ScriptTurn(t["role"], tuple(t["text"])) for t in data["turns"]]
    return list(data["roles"]), turns


def load_sexes(name: str) -> dict[str, str]:
    """The roles of a script that must sound female (``f``) or male (``m``)."""
    return {str(role): str(sex) for role, sex in _read(name).get("sexes", {}).items()}


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else SCRIPTS / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def load_sentences(name: str) -> list[str]:
    """The sentences of a script without turns (``enrolment``, ``babble``)."""
    return [str(s) for s in _read(name)["text"]]


def speak_turns(
    script: list[ScriptTurn],
    cast: dict[str, Voice],
    speech: Speech,
    rng: np.random.Generator,
    overlap: float,
) -> list[Turn]:
    """Speaks a script and lays it out in time.

    Turns follow each other after short gaps; some begin before the one before
    them has ended, until ``overlap`` of the speech is spoken by two at once.
    Nobody talks over themselves, and never three at a time.

    Args:
        script: turns as written.
        cast: voice of each role.
        speech: the engine room.
        rng: source of pauses and of the choice which turns overlap.
        overlap: share of speech time with two talkers.
    """
    spoken = [_speak(turn, cast[turn.role], speech, rng) for turn in script]
    lengths = [len(audio) / SAMPLE_RATE for audio, _ in spoken]
    shifts = _overlaps(script, lengths, rng, overlap * sum(lengths))
    turns: list[Turn] = []
    for i, (turn, (audio, marks)) in enumerate(zip(script, spoken, strict=True)):
        gap = rng.uniform(*TURN_GAP_S)
        start = LEAD_IN_S if not turns else turns[-1].end / SAMPLE_RATE + (-shifts.get(i, -gap))
        own = max((t.end for t in turns if t.role == turn.role), default=0)
        earlier = max((t.end for t in turns[:-1]), default=0)
        first = max(int(start * SAMPLE_RATE), own + SAMPLE_RATE // 5, earlier)
        turns.append(_placed(turn.role, first, audio, marks))
    return turns


def _speak(
    turn: ScriptTurn, voice: Voice, speech: Speech, rng: np.random.Generator
) -> tuple[Signal, list[tuple[str, int, int]]]:
    parts: list[Signal] = []
    marks: list[tuple[str, int, int]] = []
    at = 0
    for text in turn.text:
        if parts:
            pause = int(rng.uniform(*SENTENCE_PAUSE_S) * SAMPLE_RATE)
            parts.append(np.zeros(pause))
            at += pause
        sentence = speech.say(voice, text)
        parts.append(sentence)
        marks.append((text, at, at + len(sentence)))
        at += len(sentence)
    return np.concatenate(parts), marks


def _overlaps(
    script: list[ScriptTurn], lengths: list[float], rng: np.random.Generator, seconds: float
) -> dict[int, float]:
    """Which turns begin how many seconds before the turn before them has ended."""
    chosen: dict[int, float] = {}
    total = 0.0
    for i in rng.permutation(np.arange(1, len(script))):
        index = int(i)
        if total >= seconds:
            break
        if script[index].role == script[index - 1].role:
            continue
        if index - 1 in chosen and index - 2 in chosen:
            continue
        most = 0.45 * min(lengths[index], lengths[index - 1])
        shift = min(float(rng.uniform(*OVERLAP_S)), most)
        chosen[index] = shift
        total += shift
    return chosen


def _placed(role: str, first: int, audio: Signal, marks: list[tuple[str, int, int]]) -> Turn:
    active = tuple((first + a, first + b) for a, b in active_spans(audio))
    sentences = tuple(Sentence(text, first + a, first + b) for text, a, b in marks)
    return Turn(role, first, audio, active, sentences)


def duration_samples(turns: list[Turn]) -> int:
    """Length of the scene: to the last word and a little silence, in whole seconds."""
    seconds = max(t.end for t in turns) / SAMPLE_RATE + LEAD_OUT_S
    return int(np.ceil(seconds)) * SAMPLE_RATE


def overlap_fraction(turns: list[Turn], samples: int) -> float:
    """Share of the time with speech in which two or more talk."""
    count = np.zeros(samples, dtype=np.int8)
    for turn in turns:
        for a, b in turn.active:
            count[a:b] += 1
    return float(np.mean(count[count > 0] > 1))
