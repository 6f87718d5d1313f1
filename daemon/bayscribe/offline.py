"""The daemon's pipeline over a recording: what ``bayscribe process`` does.

The recording goes through the same stages in blocks of one ALSA period, and the results
are written as the files that ``docs/outputs.md`` lists.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
import soundfile

from bayscribe import __version__
from bayscribe.assembly import Assembly, Voice, read_voices
from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recording import Recording
from bayscribe.errors import BadUse
from bayscribe.pipeline import Output, Pipeline
from bayscribe.segments.sealer import Moment, Origin, segment_header
from bayscribe.stream import Block, CutSegment, Pcm, TrackFrame, Turn
from bayscribe.system.resources import CpuClock, cpu_seconds, peak_rss_mib
from bayscribe.units import SAMPLE_RATE
from bayscribe.wire.chain import genesis, link
from bayscribe.wire.header import encode_header

PERIOD = 640
"""Frames per block: one ALSA period, the pace of the live stream."""

DEVICE = "offline"
ENCOUNTER = "0" * 32


@dataclass(frozen=True, slots=True)
class Request:
    """What to process and how.

    Attributes:
        recording: WAV or FLAC, 16-bit.
        profile: name or path of an array profile.
        voices: known voices: label and clean recording.
        primary: label of the primary clinician, or None.
        out: folder for the results, made if absent.
        realtime: no faster than the recording's own pace.
        threads: threads of each network.
    """

    recording: Path
    profile: str
    voices: tuple[tuple[str, Path], ...]
    primary: str | None
    out: Path
    realtime: bool = False
    threads: int = 1


class Offline:
    """One run over one recording.

    Raises:
        BadUse: the recording, the profile or a voice cannot be taken.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._clock = CpuClock()
        profile = load_profile(request.profile)
        self._recording = Recording(request.recording, profile)
        self._voices: tuple[Voice, ...] = read_voices(request.voices)
        self._geometry = profile.geometry

    def run(self) -> None:
        """Process it all and write the results.

        Raises:
            BadUse: the results cannot be written, or the recording ends too early.
        """
        began = time.monotonic()
        before = cpu_seconds()
        with self._clock.stage("load"):
            assembly = Assembly(
                self._geometry,
                self._voices,
                self._request.primary,
                threads=self._request.threads,
            )
        with _Results.open(self._request.out) as results:
            for output in self._outputs(assembly.pipeline(self._clock.stage)):
                with self._clock.stage("write"):
                    results.take(output)
            stats = {
                "audio_s": self._recording.frames / SAMPLE_RATE,
                "cpu_s": {**self._clock.seconds, "all": cpu_seconds() - before},
                "wall_s": time.monotonic() - began,
                "peak_rss_mib": peak_rss_mib(),
                "models": {name: digest.hex() for name, digest in assembly.models.items()},
                "versions": {"bayscribe": __version__, "numpy": np.__version__},
            }
            results.finish(stats)

    def _outputs(self, pipeline: Pipeline) -> Iterator[Output]:
        with self._recording as recording:
            for block in self._paced(recording.blocks(PERIOD)):
                yield pipeline.push(block)
        yield pipeline.flush()

    def _paced(self, blocks: Iterator[Block]) -> Iterator[Block]:
        began = time.monotonic()
        while True:
            with self._clock.stage("read"):
                block = next(blocks, None)
            if block is None:
                return
            if self._request.realtime:
                due = began + block.end / SAMPLE_RATE
                time.sleep(max(0.0, due - time.monotonic()))
            yield block


@dataclass(slots=True)
class _Chain:
    """The hash chain over an offline run's segments; nothing is sealed or signed."""

    seq: int = 0
    value: bytes = field(default_factory=lambda: genesis(DEVICE))

    def row(self, segment: CutSegment) -> dict[str, Any]:
        """The segment's line in ``segments.jsonl``."""
        origin = Origin(DEVICE, ENCOUNTER, DEVICE, f"bayscribe-{__version__}", bytes(32))
        place = (self.seq + 1, self.value, ENCOUNTER)
        header = segment_header(segment, origin, place, Moment(), "raw16")
        self.seq, self.value = header.seq, link(self.value, encode_header(header))
        return {
            "seq": header.seq,
            "first_sample": header.first_sample,
            "samples": header.samples,
            "pcm_sha256": header.pcm_sha256.hex(),
            "chain_sha256": self.value.hex(),
            "weights_sha256": header.weights_sha256.hex(),
            "faults": [
                {
                    "at": fault.at,
                    "code": fault.code,
                    "channel": fault.channel,
                    "cleared": fault.cleared,
                    "detail": fault.detail,
                }
                for fault in header.faults
            ],
            "gaps": [
                {"first": gap.first, "samples": gap.samples, "reason": gap.reason}
                for gap in header.gaps
            ],
        }


class _Results:
    """The files of one run. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._beam = soundfile.SoundFile(
            folder / "beam.wav", "w", samplerate=SAMPLE_RATE, channels=1, subtype="PCM_16"
        )
        self._tracks = self._text("tracks.jsonl")
        self._segments = self._text("segments.jsonl")
        self._chain = _Chain()
        self._turns: dict[int, tuple[Turn, Turn]] = {}

    @classmethod
    def open(cls, folder: Path) -> "_Results":
        """Make the folder and the files.

        Raises:
            BadUse: it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder)
        except (OSError, soundfile.LibsndfileError) as error:
            raise BadUse(f"--out {folder} cannot be written: {error}", code="out") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._beam, self._tracks, self._segments):
            file.close()

    def take(self, output: Output) -> None:
        """Write what one push gave."""
        for pcm in output.beam:
            self._write_beam(pcm)
        for frame in output.tracks:
            _line(self._tracks, _track_row(frame))
        for segment in output.segments:
            _line(self._segments, self._chain.row(segment))
        for turn in output.turns:
            first = turn if turn.revises is None else self._turns.pop(turn.revises)[0]
            self._turns[turn.id] = (first, turn)

    def finish(self, stats: dict[str, Any]) -> None:
        """Write what is known only at the end: the turns in force, and the figures."""
        turns = sorted(self._turns.values(), key=lambda pair: (pair[1].start, pair[1].end))
        with self._text("turns.jsonl") as file, self._text("turns.rttm") as rttm:
            for first, turn in turns:
                _line(file, _turn_row(first, turn))
                rttm.write(_rttm(turn))
        (self._folder / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")

    def _text(self, name: str) -> TextIO:
        return (self._folder / name).open("w", encoding="utf-8")

    def _write_beam(self, pcm: Pcm) -> None:
        self._beam.write(pcm)


def _line(file: TextIO, row: dict[str, Any]) -> None:
    file.write(json.dumps(row) + "\n")


def _seconds(sample: int) -> float:
    return round(sample / SAMPLE_RATE, 4)


def _track_row(frame: TrackFrame) -> dict[str, Any]:
    talkers = [
        {
            "id": track.id,
            "azimuth_deg": round(track.azimuth_deg, 2),
            "salience": round(track.salience, 4),
        }
        for track in frame.tracks
    ]
    return {"t": _seconds(frame.at), "talkers": talkers}


def _turn_row(first: Turn, turn: Turn) -> dict[str, Any]:
    """A turn in force, as it was first emitted and as it stands after any revision."""
    azimuth = None if turn.azimuth_deg is None else round(turn.azimuth_deg, 2)
    return {
        "start": _seconds(turn.start),
        "end": _seconds(turn.end),
        "label": turn.label,
        "primary": turn.primary,
        "confidence": round(turn.confidence, 4),
        "azimuth_deg": azimuth,
        "emitted_at": _seconds(first.emitted_at),
        "emitted_as": first.label,
        "revised_at": None if turn is first else _seconds(turn.emitted_at),
    }


def _rttm(turn: Turn) -> str:
    start, length = turn.start / SAMPLE_RATE, (turn.end - turn.start) / SAMPLE_RATE
    return f"SPEAKER bay 1 {start:.3f} {length:.3f} <NA> <NA> {turn.label} <NA> <NA>\n"
