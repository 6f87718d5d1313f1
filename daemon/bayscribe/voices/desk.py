"""Enrolment on a running unit, and the voices that its line knows.

A voice is recorded through the unit's own line (array, beam), between encounters, in memory
alone; what is kept is the voiceprint. An encounter that opens has precedence.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bayscribe.control.socket import Handler
from bayscribe.diarize.enrol import Voiceprint, enrol
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.errors import BadUse, BayscribeError
from bayscribe.pipeline import Pipeline
from bayscribe.stream import Block, Pcm
from bayscribe.units import SAMPLE_RATE
from bayscribe.voices.store import VoiceStore, check_label

LineMaker = Callable[[], Pipeline]

LEAST_S, MOST_S = 15, 60
"""Seconds of speech that an enrolment takes."""

_PATIENCE_S = 60.0

log = logging.getLogger("bayscribe.voices")


@dataclass(slots=True)
class _Enrolment:
    label: str
    samples: int
    line: Pipeline
    beam: list[Pcm] = field(default_factory=list)
    taken: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    problem: BayscribeError | None = None
    file: str = ""


class VoiceDesk:
    """The voices of a unit: those of the configuration and those of the store.

    Args:
        store: the sealed ones.
        configured: of the configuration; they cannot be deleted here.
        line: makes a new line for an enrolment.
    """

    def __init__(
        self, store: VoiceStore, configured: Sequence[Voiceprint], line: LineMaker
    ) -> None:
        self._store = store
        self._configured = tuple(configured)
        self._line = line
        self._lock = threading.Lock()
        self._running: _Enrolment | None = None
        self._recording = False
        self._encoder: VoiceEncoder | None = None
        self._load()

    @property
    def voiceprints(self) -> tuple[Voiceprint, ...]:
        """What the next encounter's line shall know."""
        return self._known

    def handlers(self) -> dict[str, Handler]:
        """For the control socket; called in its thread."""
        return {"voices-list": self._list, "voices-add": self._add, "voices-delete": self._delete}

    # -- the daemon's thread

    def push(self, block: Block) -> None:
        """Audio between encounters: kept only while somebody enrols."""
        job = self._running
        if job is None or job.over.is_set():
            return
        job.beam += job.line.push(block).beam
        job.taken += len(block.pcm)
        if job.taken >= job.samples:
            self._finish(job)

    def recording(self, recording: bool) -> None:
        """An encounter opened or closed; opening ends an enrolment that runs."""
        self._recording = recording
        job = self._running
        if recording and job is not None and not job.over.is_set():
            job.problem = BayscribeError(
                "an encounter has opened", "enrol between encounters", code="encounter-opened"
            )
            job.over.set()

    def _finish(self, job: _Enrolment) -> None:
        try:
            job.beam += job.line.flush().beam
            if self._encoder is None:
                self._encoder = VoiceEncoder(load_network("speaker"))
            voice = enrol(job.label, np.concatenate(job.beam), self._encoder)
            job.file = self._store.add(voice)
            self._load()
        except BayscribeError as error:
            job.problem = error
        job.beam.clear()
        job.over.set()

    # -- the control thread

    def _list(self, _request: Mapping[str, str]) -> Mapping[str, object]:
        own = [
            {"label": one.print.label, "enrolled_wall_ns": one.enrolled_wall_ns, "file": one.file}
            for one in self._store.load()
        ]
        return {"voices": own, "configured": [one.label for one in self._configured]}

    def _add(self, request: Mapping[str, str]) -> Mapping[str, object]:
        label, seconds = check_label(request.get("label", "")), request.get("seconds", "30")
        if not seconds.isdecimal() or not LEAST_S <= int(seconds) <= MOST_S:
            raise BadUse(f"--seconds: {seconds!r} is not {LEAST_S} to {MOST_S}")
        if label in [one.label for one in self._configured]:
            raise BadUse(f"{label!r} is a voice of the configuration", "choose another label")
        job = _Enrolment(label, int(seconds) * SAMPLE_RATE, self._line())
        with self._lock:
            if self._recording:
                raise BayscribeError(
                    "an encounter is open", "enrol between encounters", code="encounter-opened"
                )
            self._running = job
        heard = job.over.wait(int(seconds) + _PATIENCE_S)
        self._running = None
        if not heard:
            raise BayscribeError("the microphones gave no sound", "is the unit muted?", code="mute")
        if job.problem is not None:
            raise job.problem
        return {"label": label, "file": job.file}

    def _delete(self, request: Mapping[str, str]) -> Mapping[str, object]:
        digest = self._store.delete(request.get("label", ""))
        self._load()
        return {"sealed_sha256": digest, "until_encounter_ends": self._recording}

    def _load(self) -> None:
        own = [one.print for one in self._store.load()]
        taken = {one.label for one in self._configured}
        self._known = (*self._configured, *(one for one in own if one.label not in taken))
