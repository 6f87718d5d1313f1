"""Messages of the WebSocket subprotocol ``bayscribe.device.v1``.

Each is one binary WebSocket message: a MessagePack map whose ``type`` says which it
is. A type unknown here is ignored and counted; a map that breaks its type's rules is
malformed and ends the connection with :data:`CLOSE_MALFORMED`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bayscribe.errors import LinkError
from bayscribe.wire.chain import SIGNATURE_BYTES
from bayscribe.wire.header import MAX_HEADER_BYTES, Count, Hash, Name

SUBPROTOCOL = "bayscribe.device.v1"
MAX_MESSAGE_BYTES = 1 << 20
"""A ten-second raw segment is 320 kB; nothing legitimate comes near this."""

CLOSE_MALFORMED = 4400
CLOSE_IDENTITY = 4403
CLOSE_REPLACED = 4409
CLOSE_OVERLOADED = 4429

HeaderBytes = Annotated[bytes, Meta(min_length=1, max_length=MAX_HEADER_BYTES)]
SignatureBytes = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
Line = Annotated[str, Meta(max_length=200)]


class _Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Unknown fields are let through: a higher minor version may add some."""


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """First message of a device.

    Attributes:
        device: URI name; must equal the certificate's.
        boot: id of this boot.
        software: version of the daemon.
        models: SHA-256 of each network in use, by name.
        oldest: oldest record not yet acknowledged, or the next to come if none.
        newest: newest record on the device's disk, 0 if there never was one.
    """

    device: Name
    boot: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    software: Name
    models: dict[str, Hash]
    oldest: Count
    newest: Count
    minor: Annotated[int, Meta(ge=0)] = 0


class Segment(_Message, frozen=True, kw_only=True, tag="segment"):
    """One record with audio: header bytes as hashed, signature, sealed payload."""

    header: HeaderBytes
    signature: SignatureBytes
    sealed: bytes


class Encounter(_Message, frozen=True, kw_only=True, tag="encounter"):
    """One record without audio: an encounter opened, or closed with its totals."""

    header: HeaderBytes
    signature: SignatureBytes


class PromptOutcome(_Message, frozen=True, kw_only=True, tag="prompt_outcome"):
    """What became of a prompt in the bay."""

    id: Name
    outcome: Literal["played", "suppressed", "failed"]
    reason: Line = ""
    wall_ns: Count


class Health(_Message, frozen=True, kw_only=True, tag="health"):
    """State of the unit, without anything about a patient: figures by name."""

    values: dict[Name, int | float | bool | Line]


class Welcome(_Message, frozen=True, kw_only=True, tag="welcome"):
    """The relay's first message.

    Attributes:
        durable: highest record up to which all are on the relay's durable storage.
        chain: chain value at that record, or the device's genesis value at 0.
        credit: how many records the device may send unacknowledged.
        minor: 1 if every :class:`Ack` carries its chain value.
    """

    durable: Count
    chain: Hash
    credit: Annotated[int, Meta(ge=0, le=10_000)]
    minor: Annotated[int, Meta(ge=0)] = 0


class Ack(_Message, frozen=True, kw_only=True, tag="ack"):
    """All records through ``through`` are on the relay's durable storage.

    ``chain`` is the chain value there: it binds the acknowledgement to the very records
    that were sent, before the device erases its keys to them. A relay of minor 1 or
    higher always says it.
    """

    through: Count
    chain: Hash | None = None


class Credit(_Message, frozen=True, kw_only=True, tag="credit"):
    """How many records may be in flight from now on."""

    credit: Annotated[int, Meta(ge=0, le=10_000)]


class Refuse(_Message, frozen=True, kw_only=True, tag="refuse"):
    """A record that the relay will not take; the device keeps it and raises an alarm."""

    seq: Count
    reason: Name
    detail: Line = ""


class Prompt(_Message, frozen=True, kw_only=True, tag="prompt"):
    """Something to say in the bay: a chime, then speech if ``speech`` carries audio."""

    id: Name
    text: Annotated[str, Meta(max_length=400)]
    speech: bytes | None = None
    expires_wall_ns: Count


class PromptWithdrawn(_Message, frozen=True, kw_only=True, tag="prompt_withdrawn"):
    """The gap closed by itself: do not play this prompt any more."""

    id: Name


class Command(_Message, frozen=True, kw_only=True, tag="command"):
    """A command to the unit: open or close an encounter, mute, unmute, self-test."""

    id: Name
    name: Name
    arguments: dict[str, str] = {}


FromDevice = Hello | Segment | Encounter | PromptOutcome | Health
FromRelay = Welcome | Ack | Credit | Refuse | Prompt | PromptWithdrawn | Command


class _TypeOnly(Struct):
    type: str


_encoder = msgspec.msgpack.Encoder()
_type_only = msgspec.msgpack.Decoder(_TypeOnly)
_from_device: msgspec.msgpack.Decoder[FromDevice] = msgspec.msgpack.Decoder(FromDevice)
_from_relay: msgspec.msgpack.Decoder[FromRelay] = msgspec.msgpack.Decoder(FromRelay)
_DEVICE_TYPES = frozenset({"hello", "segment", "encounter", "prompt_outcome", "health"})
_RELAY_TYPES = frozenset(
    {"welcome", "ack", "credit", "refuse", "prompt", "prompt_withdrawn", "command"}
)


def encode(message: FromDevice | FromRelay) -> bytes:
    """One message as it travels."""
    return _encoder.encode(message)


def _known(data: bytes | str, types: frozenset[str]) -> bytes | None:
    if isinstance(data, str):
        raise LinkError("text message on a binary subprotocol", code="malformed")
    if len(data) > MAX_MESSAGE_BYTES:
        raise LinkError(f"message of {len(data)} bytes", code="malformed")
    try:
        return data if _type_only.decode(data).type in types else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkError(f"malformed message: {error}", code="malformed") from None


def decode_from_device(data: bytes | str) -> FromDevice | None:
    """Read what a device sent; None for a type that is unknown here.

    Raises:
        LinkError: ``malformed``.
    """
    known = _known(data, _DEVICE_TYPES)
    if known is None:
        return None
    try:
        return _from_device.decode(known)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkError(f"malformed message: {error}", code="malformed") from None


def decode_from_relay(data: bytes | str) -> FromRelay | None:
    """Read what the relay sent; None for a type that is unknown here.

    Raises:
        LinkError: ``malformed``.
    """
    known = _known(data, _RELAY_TYPES)
    if known is None:
        return None
    try:
        return _from_relay.decode(known)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkError(f"malformed message: {error}", code="malformed") from None
