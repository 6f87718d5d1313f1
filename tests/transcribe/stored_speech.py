"""Recordings that stand in a relay's store as a unit would have put them there."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bayscribe.segments.sealer import ChainWriter, Moment, Origin, SealedRecord
from bayscribe.stream import CutSegment, Pcm, Turn
from bayscribe.units import SampleIndex
from bayscribe.wire import chain
from bayscribe.wire.messages import Encounter, Segment
from bayscribe.wire.seal import Kem, OpeningKey
from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.ingest.verify import StreamVerifier
from bayscribe_relay.pki.authority import Authority
from bayscribe_relay.store.store import Store
from bayscribe_relay.transcribe.config import TranscribeConfig
from bayscribe_relay.transcribe.model import Model
from bayscribe_relay.transcribe.progress import Progress
from bayscribe_relay.transcribe.recogniser import Stretch

RATE = 16_000
PATIENCE_S = 240.0
WALL_NS = 1_800_000_000_000_000_000
SCENES = Path(__file__).resolve().parents[1] / "scenes"
BOOT = "b" * 32


def spoken(*said: tuple[int, float, float], seconds: float) -> Pcm:
    """Audio for :class:`MarkRecogniser`: (word number, start s, end s) in quiet noise."""
    pcm = np.random.default_rng(1).integers(-40, 40, round(seconds * RATE)).astype(np.int16)
    for number, start, end in said:
        pcm[round(start * RATE) : round(end * RATE)] = 1_000 + number
    return pcm


class MarkRecogniser:
    """Hears ``wN`` wherever the sample value is 1000 + N; counts what it was asked."""

    def __init__(self, model: Model, config: TranscribeConfig) -> None:
        del config
        self.model = model
        self.asked = 0
        self.closed = False

    def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
        self.asked += 1
        words, at = [], 0
        for value, group in itertools.groupby(pcm.tolist()):
            length = sum(1 for _ in group)
            if value >= 1_000 and length > RATE // 50:
                words.append(Word(f"w{value - 1_000}", at / RATE, (at + length) / RATE, 0.9))
            at += length
        return (Stretch(tuple(words), 0.1, -0.2, 1.0),) if words else ()

    def close(self) -> None:
        self.closed = True


def turn(
    ident: int,
    start: float,
    end: float,
    label: str = "clinician",
    *,
    revises: int | None = None,
    emitted: float | None = None,
    confidence: float = 0.9,
) -> Turn:
    """A turn in seconds, emitted a second behind its end unless told otherwise."""
    return Turn(
        id=ident,
        start=_sample(start),
        end=_sample(end),
        label=label,
        primary=label == "clinician",
        confidence=confidence,
        azimuth_deg=30.0,
        emitted_at=_sample(end + 1 if emitted is None else emitted),
        revises=revises,
    )


def _sample(at_s: float) -> SampleIndex:
    return SampleIndex(round(at_s * RATE))


def cut(pcm: Pcm, turns: Sequence[Turn], at_s: Sequence[float], first: int = 0) -> list[CutSegment]:
    """Segments that end at the given seconds; a turn goes where it was emitted."""
    ends = [round(at * RATE) for at in at_s] + [len(pcm)]
    segments, begin, left = [], 0, list(turns)
    for end in ends:
        last = end == len(pcm)
        here = [t for t in left if last or t.emitted_at <= end]
        left = [t for t in left if t not in here]
        segments.append(segment(pcm[begin:end], begin + first, here))
        begin = end
    return segments


def segment(pcm: Pcm, first: int, turns: Iterable[Turn]) -> CutSegment:
    return CutSegment(first=SampleIndex(first), pcm=pcm, turns=tuple(turns))


@dataclass
class Bay:
    """A store, and one unit that records into it."""

    folder: Path
    device: str = "bay-1"
    opening: OpeningKey = field(default_factory=lambda: OpeningKey.generate(Kem.X25519))

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.folder / 'relay.db'}"
        self.store = Store(self.url)
        self.clinical = ClinicalStore(self.url)
        issued = Authority.create("site").device(self.device)
        assert issued.key is not None
        self.key: ec.EllipticCurvePrivateKey = issued.key
        self.certificate = issued.certificate
        self.writer = self._writer()

    def _writer(self) -> ChainWriter:
        mark = self.store.mark(self.device)
        head = (mark.seq, mark.chain) if mark else (0, chain.genesis(self.device))
        origin = Origin(self.device, BOOT, "bay-1", "0.1.0", bytes(32))
        return ChainWriter(origin, self.key, self.opening.sealing_key(), head, codec="raw16")

    def close(self) -> None:
        self.store.close()
        self.clinical.close()

    def open(self, recording: str, wall_ns: int = WALL_NS) -> None:
        self.keep([self.writer.open_encounter(recording, "always", Moment(0, wall_ns))])

    def record(self, segments: Iterable[CutSegment], wall_ns: int = WALL_NS) -> None:
        """Store segments; sample 0 was captured at ``wall_ns``."""
        for each in segments:
            at = int(each.first) * 1_000_000_000 // RATE
            self.keep([self.writer.segment(each, Moment(at, wall_ns + at, "synchronised"))])

    def end(self) -> None:
        self.keep([self.writer.close_encounter("stop", Moment())])

    def whole(self, recording: str, segments: Iterable[CutSegment]) -> None:
        self.open(recording)
        self.record(segments)
        self.end()

    def keep(self, records: Sequence[SealedRecord]) -> None:
        """As ingest does: admit, verify, commit."""
        der = self.certificate.public_bytes(Encoding.DER)
        print_ = b"f" * 32
        mark = self.store.admit(self.device, print_, der)
        verifier = StreamVerifier(
            mark,
            self.store.open_encounters(self.device),
            {print_: self.key.public_key()},
            [self.opening],
            lambda seq: self.store.chain_at(self.device, seq),
            lambda name: self.store.encounter_known(self.device, name),
        )
        verdict = verifier.check([_message(record) for record in records])
        assert verdict.refusal is None, verdict.refusal
        assert verdict.batch is not None
        assert self.store.commit([verdict.batch]) == [True]


def _message(record: SealedRecord) -> Segment | Encounter:
    if record.sealed:
        return Segment(header=record.header, signature=record.signature, sealed=record.sealed)
    return Encounter(header=record.header, signature=record.signature)


def read(path: Path) -> Pcm:
    pcm, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return np.asarray(pcm, np.int16)


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)


def done(bay: Bay) -> Callable[[], bool]:
    """Whether the transcript has reached the newest record."""
    progress = Progress(bay.clinical, "look", 1.0)

    def reached() -> bool:
        mark = bay.store.mark(bay.device)
        return mark is not None and max(progress.done(bay.device).values(), default=0) == mark.seq

    return reached
