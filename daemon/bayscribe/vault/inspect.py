"""Reading a buffer or a single record as a stranger: headers and verdict, no secret.

What can be proved without a key: every header, the chain over them, the device's
signature on each link and, through it, every byte of the ciphertext. What a power cut
leaves behind (unfinished files at the end) is told apart from what only a hand or a
failing card does.

What cannot be proved from a buffer alone is that its newest records were not taken away
whole; the relay's acknowledgements and the encounter's closing totals prove that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse, IntegrityError
from bayscribe.vault.disk import Disk
from bayscribe.vault.folder import CERTIFICATE, STATE, numbers
from bayscribe.vault.recordfile import KEY_SUFFIX, PART_SUFFIX, SUFFIX, RecordFile, parse, stem
from bayscribe.vault.state import VaultState, decode_state
from bayscribe.wire.chain import genesis, link, sealed_digest, verify_signature
from bayscribe.wire.header import Header, decode_header

__all__ = ["CERTIFICATE", "Finding", "Inspection", "Verdict", "inspect", "leave_certificate"]


class Verdict(StrEnum):
    """What the whole amounts to."""

    INTACT = "intact"
    POWER_CUT = "power cut"
    TAMPERED = "tampered"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unusual: at which record or file, what, and what explains it."""

    where: str
    what: str
    verdict: Verdict


@dataclass(slots=True)
class Inspection:
    """What was found.

    Attributes:
        headers: of the records, in order, with the chain value after each.
        findings: what is unusual.
        signed: whether signatures could be checked against a certificate.
        acknowledged: records up to this one were acknowledged; their keys are destroyed.
    """

    headers: list[tuple[Header, bytes]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    signed: bool = False
    acknowledged: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst finding."""
        found = {finding.verdict for finding in self.findings}
        if Verdict.TAMPERED in found:
            return Verdict.TAMPERED
        return Verdict.POWER_CUT if found else Verdict.INTACT

    def note(self, where: str, what: str, verdict: Verdict = Verdict.TAMPERED) -> None:
        """Add a finding."""
        self.findings.append(Finding(where, what, verdict))


def inspect(path: Path, trust: Path | None = None) -> Inspection:
    """Inspect a buffer's folder, or one ``.record`` file.

    Args:
        path: folder or file.
        trust: the device's certificate (PEM); the one beside the records when absent.

    Raises:
        BadUse: there is neither a buffer nor a record at ``path``, or ``trust`` is no
            certificate.
        StorageError: the disk cannot be read.
    """
    disk = Disk()
    folder = path if path.is_dir() else path.parent
    key = _public_key(trust or folder / CERTIFICATE, required=trust is not None)
    result = Inspection(signed=key is not None)
    if path.is_dir():
        _folder(path, disk, key, result)
    elif path.name.endswith(SUFFIX) and path.is_file():
        _single(path, disk, key, result)
    else:
        raise BadUse(f"{path} is neither a buffer nor a record", "name a folder or a .record file")
    return result


def leave_certificate(folder: Path, pem: bytes) -> None:
    """Put the unit's certificate beside its records, for whoever inspects them.

    Raises:
        StorageError: the disk refuses.
    """
    disk = Disk()
    if disk.read(folder / CERTIFICATE) != pem:
        disk.write(folder / (CERTIFICATE + PART_SUFFIX), pem)
        disk.rename(folder / (CERTIFICATE + PART_SUFFIX), folder / CERTIFICATE)
        disk.flush_folder(folder)


def _single(
    path: Path, disk: Disk, key: ec.EllipticCurvePublicKey | None, result: Inspection
) -> None:
    read = _read(path, disk, result)
    if read is None:
        return
    file, header = read
    value = link(header.previous, file.header)
    _check_signature(path.name, file, value, key, result)
    _check_ciphertext(path, file, disk, result)
    result.headers.append((header, value))


def _folder(
    path: Path, disk: Disk, key: ec.EllipticCurvePublicKey | None, result: Inspection
) -> None:
    names = disk.names(path)
    found = numbers(names, SUFFIX)
    if not found and STATE not in names:
        raise BadUse(f"{path} is not a buffer", "name a unit's state directory/buffer")
    state = _state(path, disk, found, result)
    result.acknowledged = state.seq if state else 0
    expected, chain = found[0] if found and found[0] <= result.acknowledged else 1, None
    if state and (not found or found[0] > state.seq):
        expected, chain = state.seq + 1, state.chain
    for seq in found:
        if seq != expected:
            lost = f"{expected}" if seq - 1 <= expected else f"{expected} to {seq - 1}"
            result.note(stem(seq), f"missing before it: {lost}")
            chain = None
        known = len(result.findings)
        chain = _next(path, seq, chain, disk, key, result, last=seq == found[-1])
        if len(result.findings) > known and _acknowledged_meanwhile(path, disk, seq, result):
            del result.findings[known:]
        if state and seq == state.seq and chain not in (None, state.chain):
            result.note(STATE, "does not hold the chain value of the record that it names")
        expected = seq + 1
    _leftovers(disk.names(path), expected, result)


def _acknowledged_meanwhile(path: Path, disk: Disk, seq: int, result: Inspection) -> bool:
    """Whether a running daemon erased a record while it was being looked at."""
    if seq <= result.acknowledged:
        return False
    state = _state(path, disk, [], result)
    if state is None or state.seq < seq:
        return False
    result.acknowledged = state.seq
    return True


def _leftovers(names: list[str], expected: int, result: Inspection) -> None:
    """What a power cut leaves beside the records."""
    for name in names:
        if name.endswith(PART_SUFFIX):
            result.note(name, "unfinished file, removed at the next start", Verdict.POWER_CUT)
    for seq in numbers(names, KEY_SUFFIX):
        if seq <= result.acknowledged:
            result.note(stem(seq), "its key was about to be destroyed", Verdict.POWER_CUT)
        elif seq >= expected and stem(seq) + SUFFIX not in names:
            result.note(stem(seq), "key of an append that never finished", Verdict.POWER_CUT)


def _next(
    path: Path,
    seq: int,
    chain: bytes | None,
    disk: Disk,
    key: ec.EllipticCurvePublicKey | None,
    result: Inspection,
    *,
    last: bool,
) -> bytes | None:
    """Check the next record of a folder; the chain value after it, None if unknown."""
    name = path / (stem(seq) + SUFFIX)
    read = _read(name, disk, result)
    if read is None:
        return None
    file, header = read
    if header.seq != seq:
        result.note(name.name, f"holds record {header.seq}: files were exchanged")
        return None
    if seq == 1:
        chain = genesis(header.device)
    if chain is not None and header.previous != chain:
        result.note(name.name, "does not continue the chain of the record before")
    value = link(header.previous, file.header)
    _check_signature(name.name, file, value, key, result)
    if seq <= result.acknowledged:
        pass  # its key is destroyed: header, chain and signature are what can be checked
    elif last and file.body and disk.size(path / (stem(seq) + KEY_SUFFIX)) == 0:
        result.note(name.name, "its key never became durable", Verdict.POWER_CUT)
    else:
        _check_ciphertext(name, file, disk, result)
    result.headers.append((header, value))
    return value


def _read(path: Path, disk: Disk, result: Inspection) -> tuple[RecordFile, Header] | None:
    try:
        file = parse(disk.read(path) or b"")
        return file, decode_header(file.header)
    except IntegrityError as error:
        # A record gets its name only when its content is on the disk: no power cut
        # leaves one that is cut off.
        result.note(path.name, f"{error}: altered after it was written")
        return None


def _check_signature(
    name: str,
    file: RecordFile,
    chain: bytes,
    key: ec.EllipticCurvePublicKey | None,
    result: Inspection,
) -> None:
    if key is None:
        return
    try:
        verify_signature(key, chain, file.sealed_sha256, file.signature)
    except IntegrityError:
        result.note(name, "the device's signature does not verify")


def _check_ciphertext(path: Path, file: RecordFile, disk: Disk, result: Inspection) -> None:
    try:
        sealed = file.join(disk.read(path.with_suffix(KEY_SUFFIX))).sealed
    except IntegrityError as error:
        result.note(path.name, str(error))
        return
    if sealed_digest(sealed) != file.sealed_sha256:
        result.note(path.name, "a payload was added to it or taken away")


def _state(path: Path, disk: Disk, found: Sequence[int], result: Inspection) -> VaultState | None:
    data = disk.read(path / STATE)
    if data is None:
        if found and found[0] != 1:
            result.note(STATE, "is missing although records before the first were removed")
        return None
    try:
        return decode_state(data)
    except IntegrityError as error:
        result.note(STATE, str(error))
        return None


def _public_key(path: Path, *, required: bool) -> ec.EllipticCurvePublicKey | None:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        if required:
            raise BadUse(f"--trust {path} is not a PEM certificate") from None
        return None
    key = certificate.public_key()
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None
