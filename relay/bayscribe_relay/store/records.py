"""Rows as the rest of the relay sees them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One verified record, ready to be stored, or as stored.

    Attributes:
        seq: number in the device's chain.
        chain: chain value after it.
        kind: ``opened``, ``segment`` or ``closed``.
        encounter: id of the recording.
        header: header bytes as hashed.
        signature: the device's, 64 bytes.
        sealed_sha256: SHA-256 of the sealed payload, of nothing without one.
        certificate: SHA-256 of the certificate whose key signed it.
        received_ns: the relay's CLOCK_REALTIME.
        sealed: sealed payload; None without one, or once deleted.
    """

    seq: int
    chain: bytes
    kind: str
    encounter: str
    header: bytes
    signature: bytes
    sealed_sha256: bytes
    certificate: bytes
    received_ns: int
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class EncounterState:
    """Where an encounter stands: its totals so far.

    Attributes:
        encounter: its id.
        bay: where it was opened.
        opened_seq: number of the record that opened it.
        opened_reason: how.
        segments: segments so far.
        samples: their samples.
        gap_samples: samples that their headers declare missing.
        closed_seq: number of the record that closed it, or None.
        closed_reason: how.
    """

    encounter: str
    bay: str
    opened_seq: int
    opened_reason: str
    segments: int = 0
    samples: int = 0
    gap_samples: int = 0
    closed_seq: int | None = None
    closed_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive verified records of one device, and the encounters they change.

    ``before`` is the mark they continue; the store takes all of them or none.
    """

    device: str
    before: int
    records: tuple[StoredRecord, ...]
    encounters: tuple[EncounterState, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not taken."""

    device: str
    seq: int
    reason: str
    detail: str
    encounter: str
    header_sha256: bytes


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """A refusal as stored: how often, first and last time (wall clock, ns)."""

    refusal: Refusal
    times: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class DeviceMark:
    """A device's durable mark: all records through ``seq`` are stored."""

    device: str
    seq: int
    chain: bytes
