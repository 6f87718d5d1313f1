"""Checks of recordings: every record, its chain value, signature, certificate and audio."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import IntegrityError, LinkError
from bayscribe.wire import chain
from bayscribe.wire.header import (
    EncounterClosed,
    EncounterOpened,
    Header,
    SegmentHeader,
    decode_header,
)
from bayscribe.wire.identity import device_name
from bayscribe_verify.rows import Fault, Record, Recording
from bayscribe_verify.trust import Trust, valid_at


@dataclass(slots=True)
class Heard:
    """What the checks of recordings found, for those that come after.

    Attributes:
        headers: by recording and sequence number.
        chains: chain values likewise.
        records: rows likewise.
    """

    headers: dict[tuple[str, int], Header] = field(default_factory=dict)
    chains: dict[tuple[str, int], bytes] = field(default_factory=dict)
    records: dict[tuple[str, int], Record] = field(default_factory=dict)

    def segments(self, recording: str) -> list[SegmentHeader]:
        """Headers of a recording's segments, in order."""
        found = [(seq, h) for (name, seq), h in self.headers.items() if name == recording]
        return [h for _, h in sorted(found, key=lambda p: p[0]) if isinstance(h, SegmentHeader)]


def device_keys(
    certificates: dict[str, bytes], trust: Trust
) -> tuple[dict[str, x509.Certificate], list[str]]:
    """Device certificates by SHA-256, and what is wrong with any of them."""
    found: dict[str, x509.Certificate] = {}
    problems = []
    for name, der in certificates.items():
        try:
            certificate = x509.load_der_x509_certificate(der)
        except ValueError:
            problems.append(f"certificate {name[:16]}: cannot be read")
            continue
        if hashlib.sha256(der).hexdigest() != name:
            problems.append(f"certificate {name[:16]}: is another one than its name says")
        elif not trust.vouches(certificate):
            problems.append(f"certificate {name[:16]}: no trusted authority issued it")
        else:
            found[name] = certificate
    return found, problems


def check_recording(
    about: Recording,
    rows: Iterable[Record],
    certificates: dict[str, x509.Certificate],
    heard: Heard,
) -> Iterator[str]:
    """Every problem in one recording's stretch of its device's chain."""
    previous, expected = bytes.fromhex(about.before), about.first_seq
    if about.first_seq == 1 and previous != chain.genesis(about.device):
        yield "does not begin at the device's first link"
    headers = []
    for row in rows:
        try:
            header = decode_header(row.header)
        except IntegrityError as error:
            yield f"record {row.seq}: {error}"
            return
        for problem in _check_record(about, row, header, previous, expected, certificates):
            yield f"record {row.seq}: {problem}"
        previous, expected = bytes.fromhex(row.chain), row.seq + 1
        key = about.recording, row.seq
        heard.headers[key], heard.chains[key], heard.records[key] = header, previous, row
        headers.append(header)
    if expected - 1 != about.last_seq or previous.hex() != about.after:
        yield "does not end where it is said to end"
    yield from _check_whole(about, headers)


def _check_record(
    about: Recording,
    row: Record,
    header: Header,
    previous: bytes,
    expected: int,
    certificates: dict[str, x509.Certificate],
) -> Iterator[str]:
    if row.seq != expected or header.seq != row.seq:
        yield "a record is missing before this one"
    if (header.device, header.encounter) != (about.device, about.recording):
        yield "belongs to another device or recording"
    if header.previous != previous or chain.link(previous, row.header).hex() != row.chain:
        yield "the chain is broken here"
    certificate = certificates.get(row.certificate)
    if certificate is None:
        yield "the certificate that signed it is missing or not trusted"
        return
    yield from _check_signer(certificate, about.device, row, header)
    if (row.audio == "none") != (not isinstance(header, SegmentHeader)):
        yield "audio and header do not belong together"


def _check_signer(
    certificate: x509.Certificate, device: str, row: Record, header: Header
) -> Iterator[str]:
    try:
        if device_name(certificate) != device:
            yield "was signed by another device"
    except LinkError:
        yield "was signed by what is no device"
    if not valid_at(certificate, header.wall_ns, row.received_ns):
        yield "was signed with a certificate that was not valid then"
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        yield "was signed by a key of another kind"
        return
    try:
        chain.verify_signature(
            key, bytes.fromhex(row.chain), bytes.fromhex(row.sealed_sha256), row.signature
        )
    except IntegrityError as error:
        yield str(error)


def _check_whole(about: Recording, headers: list[Header]) -> Iterator[str]:
    """The totals that the device signed when it closed the recording."""
    if not headers or not isinstance(headers[0], EncounterOpened):
        yield "does not begin with its opening"
        return
    closing = headers[-1] if isinstance(headers[-1], EncounterClosed) else None
    if (closing is not None) != about.closed:
        yield "is not closed as it is said to be"
    segments = [h for h in headers if isinstance(h, SegmentHeader)]
    for segment in segments:
        if chain.steering_digest(segment.steering) != segment.weights_sha256:
            yield f"record {segment.seq}: steering schedule does not match its digest"
    if closing is None:
        return
    samples = sum(h.samples for h in segments)
    gaps = sum(gap.samples for h in segments for gap in h.gaps)
    if (closing.segments, closing.samples, closing.gap_samples, closing.opened_seq) != (
        len(segments), samples, gaps, about.first_seq,
    ):  # fmt: skip
        yield "its totals are not those that the device signed at its end"


def check_audio(heard: Heard, audio: dict[str, bytes]) -> Iterator[str]:
    """Audio in the package against the hashes that the devices signed."""
    left = set(audio)
    for (recording, seq), row in heard.records.items():
        name = f"audio/{recording}/{seq}.{row.audio}"
        if row.audio not in ("sealed", "pcm"):
            continue
        left.discard(name)
        data, header = audio.get(name), heard.headers[recording, seq]
        if data is None:
            yield f"{name}: is missing"
        elif row.audio == "sealed" and chain.sealed_digest(data).hex() != row.sealed_sha256:
            yield f"{name}: is not what the device sealed"
        elif row.audio == "pcm" and (
            not isinstance(header, SegmentHeader)
            or hashlib.sha256(data).digest() != header.pcm_sha256
        ):
            yield f"{name}: is not what the device recorded"
    for name in sorted(left):
        yield f"{name}: belongs to no record"


def stated_faults(headers: Iterable[Header]) -> list[Fault]:
    """Gaps and faults that records state, in order."""
    found = []
    for header in headers:
        if not isinstance(header, SegmentHeader):
            continue
        found += [
            Fault(seq=header.seq, what="gap", at=gap.first, samples=gap.samples, reason=gap.reason)
            for gap in header.gaps
        ]
        for fault in header.faults:
            reason = f"{fault.code}{' cleared' if fault.cleared else ''}"
            if fault.channel is not None:
                reason += f", channel {fault.channel}"
            found.append(Fault(seq=header.seq, what="fault", at=fault.at, samples=0, reason=reason))
    return found


def weight_sets(headers: Iterable[Header]) -> list[str]:
    """SHA-256 of every weight set that made the beam."""
    segments = (h for h in headers if isinstance(h, SegmentHeader))
    return sorted({m.weights_sha256.hex() for h in segments for m in h.steering})


def model_digests(headers: Iterable[Header]) -> list[str]:
    """Digests of the networks in use on the appliances."""
    return sorted({h.models_sha256.hex() for h in headers if isinstance(h, SegmentHeader)})
