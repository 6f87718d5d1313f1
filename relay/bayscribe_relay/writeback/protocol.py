"""The messages of ``bayscribe.commit.v1``, relay to gateway: text frames of one JSON object.

``commit`` and ``query`` go to the gateway; ``accepted``, ``progress``, ``committed`` and
``rejected`` come back. The same key always gets the same answer. The Bundle travels as
the very bytes that were made and hashed (``msgspec.Raw``).
"""

import logging
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from bayscribe.errors import LinkError

SUBPROTOCOL: Final = "bayscribe.commit.v1"

MESSAGE_MAX: Final = 16 * 1024 * 1024
"""Bytes of one message: the largest note in base64, its Provenance, and room."""

HEARTBEAT_S: Final = 5.0
"""Seconds between pings, and seconds that an answer may take, both ways."""

Key = Annotated[
    str,
    Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
]
Site = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Path = Literal["fhir", "mdm"]
ProgressState = Literal["unknown", "working", "waiting", "parked", "alerted"]
"""``unknown``: the answer to a query for a key never seen, so that the relay commits it."""


class Commit(Struct, frozen=True, tag="commit"):
    """Write this note. ``replay`` is an operator's wish to try again what was given up."""

    key: Key
    site: Site
    bundle: Raw
    note_sha256: Sha256
    deadline: str
    replay: bool = False


class Query(Struct, frozen=True, tag="query"):
    """What has become of this key?"""

    key: Key


class Accepted(Struct, frozen=True, tag="accepted"):
    """The gateway has it on its disk."""

    key: Key


class Progress(Struct, frozen=True, tag="progress", omit_defaults=True):
    """Where it stands; ``attempt`` counts writes, ``reason`` is for the operator."""

    key: Key
    state: ProgressState
    reason: str = ""
    attempt: int = 0


class Timings(Struct, frozen=True):
    """Milliseconds spent waiting for the EMR to write, and reading back."""

    emr: float = 0.0
    read_back: float = 0.0


class Committed(Struct, frozen=True, tag="committed", omit_defaults=True):
    """In the chart, and read back. ``verification`` says how: by content, or by its ACK."""

    key: Key
    resources: dict[str, str]
    etag: str
    verified_at: str
    path: Path
    verification: str = "read-back"
    timings_ms: Timings = Timings()
    attempts: int = 0


class Rejected(Struct, frozen=True, tag="rejected", omit_defaults=True):
    """Not in the chart. ``retryable``: given up for now, an operator may replay it."""

    key: Key
    reason: str
    retryable: bool
    outcome: str = ""
    path: Path | None = None
    attempts: int = 0


ToGateway = Commit | Query
ToRelay = Accepted | Progress | Committed | Rejected

_TO_GATEWAY: Final = msgspec.json.Decoder(ToGateway)
_TO_RELAY: Final = msgspec.json.Decoder(ToRelay)
_ENCODER: Final = msgspec.json.Encoder()


def quiet_logger() -> logging.Logger:
    """The logger for the WebSocket library, which shows what frames hold at level DEBUG.

    It stays at WARNING however much else is logged: a frame may hold a note.
    """
    logger = logging.getLogger("bayscribe.websocket")
    logger.setLevel(logging.WARNING)
    return logger


def encode(message: ToGateway | ToRelay) -> str:
    """A message as one text frame."""
    return _ENCODER.encode(message).decode()


def decode_to_gateway(text: str | bytes) -> ToGateway | None:
    """A message from the relay; None for a type that this version does not know.

    Raises:
        LinkError: ``message`` if it is malformed.
    """
    found: ToGateway | None = _decode(_TO_GATEWAY, text)
    return found


def decode_to_relay(text: str | bytes) -> ToRelay | None:
    """A message from the gateway; None for a type that this version does not know.

    Raises:
        LinkError: ``message`` if it is malformed.
    """
    found: ToRelay | None = _decode(_TO_RELAY, text)
    return found


def _decode(decoder: "msgspec.json.Decoder[Any]", text: str | bytes) -> Any:  # noqa: ANN401 - typed by its callers
    if isinstance(text, bytes):
        raise LinkError("a binary frame where text is spoken", code="message")
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if str(error).startswith("Invalid value '") and "`$.type`" in str(error):
            return None
        raise LinkError("a malformed message", code="message") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise LinkError("a message that is not JSON", code="message") from None
