"""Verifying what is stored, from the first record of each device to its last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import IntegrityError
from bayscribe.wire import chain
from bayscribe.wire.header import Header, SegmentHeader, decode_header
from bayscribe.wire.payload import TurnRecord
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.ingest.verify import check_audio
from bayscribe_relay.store.records import DeviceMark, StoredRecord
from bayscribe_relay.store.store import Store


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """A stored record and what the walk found.

    Attributes:
        record: as stored.
        header: decoded, or None if unreadable.
        problem: what does not verify, or empty.
        turns: speaker turns sealed with it.
        pcm: little-endian int16, or None without (verified) audio.
        sealed_bytes: length of the sealed payload.
    """

    record: StoredRecord
    header: Header | None
    problem: str
    turns: tuple[TurnRecord, ...] = ()
    pcm: bytes | None = None
    sealed_bytes: int = 0


def walk(store: Store, mark: DeviceMark, opening: Sequence[OpeningKey]) -> Iterator[CheckedRecord]:
    """Verify a device's records in order: chain, signature, sealed payload and audio.

    Raises:
        StorageError: the store cannot be read.
    """
    keys = _public_keys(store, mark.device)
    previous = chain.genesis(mark.device)
    expected = 1
    for record in store.read_records(mark.device):
        yield _check(record, expected, previous, keys, opening)
        previous, expected = record.chain, record.seq + 1


def tail_problem(store: Store, mark: DeviceMark) -> str:
    """Whether the stored records end where the device's durable mark says; empty if so."""
    if mark.seq == 0:
        return "" if mark.chain == chain.genesis(mark.device) else "mark"
    return "" if store.chain_at(mark.device, mark.seq) == mark.chain else "mark"


def _public_keys(store: Store, device: str) -> dict[bytes, ec.EllipticCurvePublicKey]:
    keys = {}
    for fingerprint, der in store.certificates(device).items():
        public = x509.load_der_x509_certificate(der).public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            keys[fingerprint] = public
    return keys


def _check(
    record: StoredRecord,
    expected: int,
    previous: bytes,
    keys: dict[bytes, ec.EllipticCurvePublicKey],
    opening: Sequence[OpeningKey],
) -> CheckedRecord:
    header: Header | None = None
    size = len(record.sealed or b"")
    try:
        header = decode_header(record.header)
        _check_links(record, header, expected, previous, keys)
        if not isinstance(header, SegmentHeader) or record.sealed is None:
            return CheckedRecord(record, header, "", sealed_bytes=size)
        payload, pcm = check_audio(opening, header, record.header, record.sealed)
    except IntegrityError as error:
        return CheckedRecord(record, header, error.code, sealed_bytes=size)
    return CheckedRecord(record, header, "", payload.turns, pcm, size)


def _check_links(
    record: StoredRecord,
    header: Header,
    expected: int,
    previous: bytes,
    keys: dict[bytes, ec.EllipticCurvePublicKey],
) -> None:
    if record.seq != expected or header.seq != record.seq:
        raise IntegrityError("a record is missing before this one", code="gap")
    if header.previous != previous or chain.link(previous, record.header) != record.chain:
        raise IntegrityError("the chain is broken here", code="chain")
    key = keys.get(record.certificate)
    if key is None:
        raise IntegrityError("the signing certificate is missing", code="certificate")
    chain.verify_signature(key, record.chain, record.sealed_sha256, record.signature)
    if record.sealed is not None and chain.sealed_digest(record.sealed) != record.sealed_sha256:
        raise IntegrityError("the sealed payload was altered", code="sealed")
