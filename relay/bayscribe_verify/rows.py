"""The rows of a package's files. Bytes are base64, hashes hexadecimal, times ns since 1970."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct

AUDIO: Final = b"bayscribe.audio.v1\x00"
CHAINS: Final = b"bayscribe.chains.v1\x00"


class Recording(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recording of an appliance: a stretch of the device's chain.

    Attributes:
        before: chain value before its first record.
        after: chain value after its last one here.
        bound: stretches of wall time that belong to the encounter; empty: all of it.
    """

    recording: str
    device: str
    first_seq: int
    last_seq: int
    before: str
    after: str
    closed: bool
    bound: tuple[tuple[int, int | None], ...] = ()


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record of a device's chain; ``audio`` is what became of its sealed payload."""

    seq: int
    header: bytes
    chain: str
    signature: bytes
    sealed_sha256: str
    certificate: str
    received_ns: int
    audio: Literal["none", "held", "deleted", "sealed", "pcm"]


class Utterance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said, and in which records of the chain it can be heard."""

    id: str
    device: str
    recording: str
    first_seq: int
    last_seq: int
    start: float
    end: float
    start_ns: int
    end_ns: int
    speaker: str
    primary: bool
    reattributed: bool
    withdrawn: bool
    model_sha256: str
    text: str
    text_sha256: str
    pcm_sha256: tuple[str, ...]


class Heard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a recording a signature covers, and which stretches were the encounter's."""

    recording: str
    through_seq: int
    chain: str
    bound: tuple[tuple[int, int | None], ...] = ()


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signature as the relay kept it, beside the note that was signed.

    Attributes:
        n: 0 for the note, 1 and on for its addenda.
        clock: the relay's clock: ``synchronised`` or ``unsynchronised``.
        heard: the recordings that the note was made from.
        relates_to: key of the note that an addendum belongs to.
    """

    key: str
    stay: str
    n: int
    npi: str
    revision: int
    note_sha256: str
    evidence_sha256: str
    signed_ns: int
    clock: str
    heard: tuple[Heard, ...] = ()
    relates_to: str = ""


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One revision of the draft, by its hash."""

    revision: int
    sha256: str
    signed_key: str


class LetterEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened to a letter on its way into the chart."""

    at_ns: int
    event: str
    state: str
    detail: str


class Letter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A letter; note, Bundle and answer lie beside it as the bytes they were."""

    key: str
    site: str
    state: str
    note_sha256: str
    bundle_sha256: str
    attempts: int
    received_ns: int
    accepted_ns: int | None
    settled_ns: int | None
    reason: str
    events: tuple[LetterEvent, ...]


class Audit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the audit log; one of another encounter shows its links alone."""

    n: int
    previous: bytes
    digest: bytes
    mine: bool = True
    at_ns: int = 0
    actor: str = ""
    action: str = ""
    stay: str = ""
    detail: str = ""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gap or fault that a record states."""

    seq: int
    what: Literal["gap", "fault"]
    at: int
    samples: int
    reason: str


class Deletion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proof that data were deleted: what, when and by which policy.

    Attributes:
        payloads: device, sequence number and SHA-256 of each sealed payload.
        utterances: id and SHA-256 of the text of each transcript row.
        letters: keys of the verified letters on which the policy rests.
    """

    stay: str
    at_ns: int
    policy: str
    payloads: tuple[tuple[str, int, str], ...] = ()
    utterances: tuple[tuple[str, str], ...] = ()
    letters: tuple[str, ...] = ()


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deletion as it was signed: the bytes, the signature and the certificate (DER)."""

    body: bytes
    signature: bytes
    certificate: bytes


Json = dict[str, Any]


def text_sha256(text: str) -> str:
    """Of what was said."""
    return hashlib.sha256(text.encode()).hexdigest()


def audio_sha256(segments: Iterable[bytes]) -> str:
    """One hash for all audio of an encounter: over its segments' PCM hashes in order."""
    return hashlib.sha256(AUDIO + b"".join(segments)).hexdigest()


def chain_sha256(values: Iterable[bytes]) -> str:
    """The chain value that stands for an encounter: its recording's, or a hash over several."""
    found = list(values)
    if len(found) == 1:
        return found[0].hex()
    return hashlib.sha256(CHAINS + b"".join(found)).hexdigest()


def within(start_ns: int, end_ns: int, bound: Iterable[tuple[int, int | None]]) -> bool:
    """Whether a stretch of time overlaps any that belongs; with none given, all belongs."""
    stretches = tuple(bound)
    return not stretches or any(
        end_ns > low and (high is None or start_ns < high) for low, high in stretches
    )
