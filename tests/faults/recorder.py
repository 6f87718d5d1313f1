"""Records of a device's chain with synthetic audio, and a buffer in memory for them."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.wire import chain
from bayscribe.wire.header import (
    EncounterClosed,
    EncounterOpened,
    Header,
    SegmentHeader,
    decode_header,
    encode_header,
)
from bayscribe.wire.payload import Payload, TurnRecord, encode_payload
from bayscribe.wire.seal import Aead, SealingKey

BOOT = "b" * 32
EMPTY_STEERING = chain.steering_digest(())


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it travels."""

    header: bytes
    signature: bytes
    sealed: bytes

    @property
    def seq(self) -> int:
        return decode_header(self.header).seq


@dataclass(slots=True)
class Recorder:
    """Makes the records that a unit would make, one after the other."""

    device: str
    key: ec.EllipticCurvePrivateKey
    sealing: SealingKey
    seq: int = 0
    value: bytes = b""
    encounter: str = ""
    opened_seq: int = 0
    segments: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        self.value = self.value or chain.genesis(self.device)

    def open(self, encounter: str) -> Record:
        self.encounter, self.opened_seq = encounter, self.seq + 1
        self.segments = self.samples = 0
        return self.finish(
            EncounterOpened(
                device=self.device,
                boot=BOOT,
                seq=self.seq + 1,
                encounter=encounter,
                previous=self.value,
                monotonic_ns=self.seq,
                wall_ns=self.seq,
                clock="unknown",
                bay="bay-1",
                reason="always",
            )
        )

    def segment(self, samples: int = 160, speaker: str = "unknown-1") -> Record:
        first = self.samples
        pcm = pcm_of(self.device, self.seq + 1, samples)
        header = SegmentHeader(
            device=self.device,
            boot=BOOT,
            seq=self.seq + 1,
            encounter=self.encounter,
            previous=self.value,
            monotonic_ns=self.seq,
            wall_ns=self.seq,
            clock="synchronised",
            first_sample=first,
            samples=samples,
            sample_rate=16_000,
            codec="raw16",
            pcm_sha256=hashlib.sha256(pcm).digest(),
            weights_sha256=EMPTY_STEERING,
            bay="bay-1",
            software="0.1.0",
            models_sha256=bytes(32),
        )
        turn = TurnRecord(
            id=self.segments,
            start=first,
            end=first + samples,
            label=speaker,
            primary=False,
            confidence=0.5,
            azimuth_deg=90.0,
            emitted_at=first + samples,
        )
        self.segments += 1
        self.samples += samples
        return self.finish(header, Payload(audio=pcm, turns=(turn,)))

    def close(self, reason: str = "stop") -> Record:
        return self.finish(
            EncounterClosed(
                device=self.device,
                boot=BOOT,
                seq=self.seq + 1,
                encounter=self.encounter,
                previous=self.value,
                monotonic_ns=self.seq,
                wall_ns=self.seq,
                clock="unknown",
                reason=reason,
                opened_seq=self.opened_seq,
                segments=self.segments,
                samples=self.samples,
                gap_samples=0,
            )
        )

    def finish(self, header: Header, payload: Payload | None = None) -> Record:
        """Seal, chain and sign a header."""
        raw = encode_header(header)
        sealed = b""
        if payload is not None:
            sealed = self.sealing.seal(encode_payload(payload), raw, Aead.AES_256_GCM)
        self.value = chain.link(self.value, raw)
        self.seq += 1
        signature = chain.sign(self.key, self.value, chain.sealed_digest(sealed))
        return Record(raw, signature, sealed)

    def recording(self, encounter: str, segments: int) -> list[Record]:
        """A whole encounter."""
        body = [self.open(encounter)]
        body += [self.segment() for _ in range(segments)]
        return [*body, self.close()]


def pcm_of(device: str, seq: int, samples: int) -> bytes:
    """Audio that is different for every record and easy to make again."""
    block = hashlib.sha256(f"{device}/{seq}".encode()).digest()
    return (block * (2 * samples // len(block) + 1))[: 2 * samples]


@dataclass(slots=True)
class MemoryBuffer:
    """What the uplink needs of a buffer, in memory."""

    device: str
    records: list[Record] = field(default_factory=list)
    acknowledged: int = 0
    acknowledgements: list[int] = field(default_factory=list)
    newest: tuple[int, bytes] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def head(self) -> tuple[int, bytes]:
        with self.lock:
            return self.newest or (0, chain.genesis(self.device))

    def append(self, record: Record) -> None:
        header = decode_header(record.header)
        with self.lock:
            self.records.append(record)
            self.newest = header.seq, chain.link(header.previous, record.header)

    def extend(self, records: Sequence[Record]) -> None:
        for record in records:
            self.append(record)

    def pending(self, after_seq: int, limit: int) -> Sequence[Record]:
        with self.lock:
            after = max(after_seq, self.acknowledged)
            return [record for record in self.records if record.seq > after][:limit]

    def acknowledge(self, through: int) -> None:
        with self.lock:
            self.acknowledged = max(self.acknowledged, through)
            self.acknowledgements.append(through)
            self.records = [record for record in self.records if record.seq > through]
