"""The writer of a device's chain: hash, link, sign and seal.

A :class:`ChainWriter` continues the chain from the buffer's head. It turns a finished
segment, or the opening or closing of an encounter, into a :class:`SealedRecord`, which is
complete: it can be stored, sent and verified as it is.
"""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse
from bayscribe.stream import CutSegment, Turn
from bayscribe.units import SAMPLE_RATE
from bayscribe.wire import chain
from bayscribe.wire.header import (
    ClockState,
    Codec,
    EncounterClosed,
    EncounterOpened,
    FaultMark,
    GapMark,
    Header,
    SegmentHeader,
    SteeringMark,
    encode_header,
)
from bayscribe.wire.payload import Payload, TurnRecord, encode_payload, encode_pcm
from bayscribe.wire.seal import Aead, SealingKey, fastest_aead


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One finished record of the chain.

    Attributes:
        seq: its number.
        header: header bytes as hashed.
        chain: chain value after it.
        signature: of the device, over chain value and ciphertext.
        sealed: sealed payload; empty for a record without audio.
    """

    seq: int
    header: bytes
    chain: bytes
    signature: bytes
    sealed: bytes = b""


@dataclass(frozen=True, slots=True)
class Origin:
    """What every record of this run of the daemon states.

    Attributes:
        device: URI name in the unit's certificate.
        boot: random id of this run, 32 hex digits.
        bay: where the unit hangs.
        software: version of the daemon.
        models_sha256: digest over the manifest of the networks in use.
    """

    device: str
    boot: str
    bay: str
    software: str
    models_sha256: bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """When a record's first sample was captured, or its event happened."""

    monotonic_ns: int = 0
    wall_ns: int = 0
    clock: ClockState = "unknown"


@dataclass(slots=True)
class _OpenEncounter:
    name: str
    opened_seq: int
    segments: int = 0
    samples: int = 0
    gap_samples: int = 0


def segment_header(
    segment: CutSegment, origin: Origin, place: tuple[int, bytes, str], when: Moment, codec: Codec
) -> SegmentHeader:
    """The header of a segment.

    Args:
        segment: the audio and its marks.
        origin: who writes it.
        place: sequence number, chain value before it, encounter.
        when: capture time of its first sample.
        codec: how its payload stores the PCM.
    """
    seq, previous, encounter = place
    steering = tuple(SteeringMark(int(m.at), m.weights_sha256) for m in segment.steering)
    return SegmentHeader(
        device=origin.device,
        boot=origin.boot,
        seq=seq,
        encounter=encounter,
        previous=previous,
        monotonic_ns=when.monotonic_ns,
        wall_ns=when.wall_ns,
        clock=when.clock,
        first_sample=int(segment.first),
        samples=len(segment.pcm),
        sample_rate=SAMPLE_RATE,
        codec=codec,
        pcm_sha256=hashlib.sha256(segment.pcm.astype("<i2").tobytes()).digest(),
        weights_sha256=chain.steering_digest(steering),
        steering=steering,
        gaps=tuple(GapMark(int(g.first), g.samples, g.reason.value) for g in segment.gaps),
        faults=tuple(
            FaultMark(int(f.at), f.code.value, f.channel, f.cleared, f.detail[:120])
            for f in segment.faults
        ),
        bay=origin.bay,
        software=origin.software,
        models_sha256=origin.models_sha256,
    )


class ChainWriter:
    """Continues a device's chain.

    Args:
        origin: what every record states.
        key: the device's P-256 signing key.
        relay_key: the relay's public sealing key.
        head: number and chain value of the newest record, (0, genesis) for a new device.
        codec: how audio is stored in payloads.
        aead: bulk cipher; what the CPU does best when absent.
    """

    def __init__(
        self,
        origin: Origin,
        key: ec.EllipticCurvePrivateKey,
        relay_key: SealingKey,
        head: tuple[int, bytes],
        *,
        codec: Codec = "flac16",
        aead: Aead | None = None,
    ) -> None:
        self._origin = origin
        self._key = key
        self._relay_key = relay_key
        self._seq, self._chain = head
        self._codec: Codec = codec
        self._aead = aead or fastest_aead()
        self._encounter: _OpenEncounter | None = None

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and chain value of the newest record."""
        return self._seq, self._chain

    @property
    def encounter(self) -> str | None:
        """The open encounter."""
        return None if self._encounter is None else self._encounter.name

    def open_encounter(self, encounter: str, reason: str, when: Moment) -> SealedRecord:
        """Write that recording began.

        Raises:
            BadUse: an encounter is open already.
        """
        if self._encounter is not None:
            raise BadUse("an encounter is open already", "close it first", code="encounter")
        self._encounter = _OpenEncounter(encounter, self._seq + 1)
        return self._write(
            EncounterOpened(
                device=self._origin.device,
                boot=self._origin.boot,
                seq=self._seq + 1,
                encounter=encounter,
                previous=self._chain,
                monotonic_ns=when.monotonic_ns,
                wall_ns=when.wall_ns,
                clock=when.clock,
                bay=self._origin.bay,
                reason=reason,
            )
        )

    def resume_encounter(
        self, encounter: str, opened_seq: int, totals: tuple[int, int, int]
    ) -> None:
        """Take up an encounter that an unclean stop left open, in order to close it.

        Args:
            encounter: its id.
            opened_seq: number of the record that opened it.
            totals: segments, samples and missing samples that were written.
        """
        self._encounter = _OpenEncounter(encounter, opened_seq, *totals)

    def segment(self, segment: CutSegment, when: Moment) -> SealedRecord:
        """Hash, link, sign and seal a segment of the open encounter.

        Raises:
            BadUse: no encounter is open.
        """
        encounter = self._opened()
        place = (self._seq + 1, self._chain, encounter.name)
        header = segment_header(segment, self._origin, place, when, self._codec)
        pcm = segment.pcm.astype("<i2").tobytes()
        payload = Payload(
            audio=encode_pcm(pcm, self._codec, SAMPLE_RATE),
            turns=tuple(turn_record(turn) for turn in segment.turns),
            weights=segment.weights,
        )
        encounter.segments += 1
        encounter.samples += len(segment.pcm)
        encounter.gap_samples += sum(gap.samples for gap in segment.gaps)
        return self._write(header, encode_payload(payload))

    def close_encounter(self, reason: str, when: Moment) -> SealedRecord:
        """Write that recording ended, with the totals.

        Raises:
            BadUse: no encounter is open.
        """
        encounter = self._opened()
        self._encounter = None
        return self._write(
            EncounterClosed(
                device=self._origin.device,
                boot=self._origin.boot,
                seq=self._seq + 1,
                encounter=encounter.name,
                previous=self._chain,
                monotonic_ns=when.monotonic_ns,
                wall_ns=when.wall_ns,
                clock=when.clock,
                reason=reason,
                opened_seq=encounter.opened_seq,
                segments=encounter.segments,
                samples=encounter.samples,
                gap_samples=encounter.gap_samples,
            )
        )

    def _opened(self) -> _OpenEncounter:
        if self._encounter is None:
            raise BadUse("no encounter is open", "open one first", code="encounter")
        return self._encounter

    def _write(self, header: Header, payload: bytes | None = None) -> SealedRecord:
        encoded = encode_header(header)
        sealed = b""
        if payload is not None:
            sealed = self._relay_key.seal(payload, encoded, self._aead)
        value = chain.link(self._chain, encoded)
        signature = chain.sign(self._key, value, chain.sealed_digest(sealed))
        self._seq, self._chain = header.seq, value
        return SealedRecord(header.seq, encoded, value, signature, sealed)


def turn_record(turn: Turn) -> TurnRecord:
    """A speaker turn as it travels."""
    return TurnRecord(
        id=turn.id,
        start=int(turn.start),
        end=int(turn.end),
        label=turn.label,
        primary=turn.primary,
        confidence=min(1.0, max(0.0, turn.confidence)),
        azimuth_deg=turn.azimuth_deg,
        emitted_at=int(turn.emitted_at),
        revises=turn.revises,
    )
