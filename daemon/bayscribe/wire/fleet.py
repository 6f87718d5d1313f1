"""Topics and messages between a unit and its fleet, over MQTT.

Topic: ``bayscribe/v1/{site}/{bay}/{device}/{channel}``. Each message is one JSON object
with a version ``v``; unknown fields are let through, a higher version is ignored. A message
holds figures, states and the checks' own words: no audio, no voiceprint, no label of a
person, nothing about a patient. ``docs/mqtt.asyncapi.yaml`` is made from this module.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

ROOT = "bayscribe/v1"
CHANNELS = ("status", "health", "levels", "buffer", "alarm", "command", "answer")
MAX_PAYLOAD_BYTES = 128 << 10

SeverityWord = Literal["ok", "notice", "warning", "alarm"]
Word = Annotated[str, Meta(max_length=64)]
Line = Annotated[str, Meta(max_length=240)]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
Count = Annotated[int, Meta(ge=0)]

_LEVEL = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Topic(Struct, frozen=True):
    """Where a message belongs."""

    site: str
    bay: str
    device: str
    channel: str

    def __str__(self) -> str:
        return f"{ROOT}/{self.site}/{self.bay}/{self.device}/{self.channel}"


def is_level(name: str) -> bool:
    """Whether a name can be one level of a topic: no slash, no wildcard."""
    return _LEVEL.fullmatch(name) is not None


def parse_topic(text: str) -> Topic | None:
    """Read a topic; None if it is not one of ours."""
    parts = text.split("/")
    if len(parts) != 6 or "/".join(parts[:2]) != ROOT or not all(map(is_level, parts[2:])):
        return None
    return Topic(*parts[2:]) if parts[5] in CHANNELS else None


class _Message(Struct, frozen=True, kw_only=True):
    v: Literal[1] = 1


class Status(_Message, frozen=True, kw_only=True):
    """Retained; the last will says ``offline``.

    Attributes:
        state: whether the unit is connected to the broker.
        at: when it was said; None in a last will.
        activity: what the unit does.
        severity: the worst of its checks.
        may_go_live: whether nothing keeps it from its work.
        software: version of the daemon.
        array: profile of its array.
        models: SHA-256 of each network in use, hexadecimal, by name.
        boot: id of this boot.
        clock_synchronised: what the kernel says of the wall clock.
    """

    state: Literal["online", "offline"]
    at: Time | None = None
    activity: Literal["recording", "idle", "muted", "fault", "unknown"] = "unknown"
    severity: SeverityWord = "ok"
    may_go_live: bool = False
    software: Word = ""
    array: Word = ""
    models: dict[str, str] = {}
    boot: Word = ""
    clock_synchronised: bool | None = None


class ProblemLine(Struct, frozen=True, kw_only=True):
    """One problem that stands."""

    code: Word
    check: Word
    severity: SeverityWord
    subject: Word = ""
    words: Line


class Health(_Message, frozen=True, kw_only=True):
    """How the unit stands: on every change, and at least every ``health_s``.

    Attributes:
        at: when.
        severity: the worst.
        may_go_live: whether nothing keeps it from its work.
        problems: what stands, the worst first.
        celsius: hottest sensor.
        throttled: what holds the processor back, in words.
        disk_free_mib: under the state directory.
        clock_synchronised: what the kernel says.
        clock_frequency_ppm: correction that the kernel applies.
        array_drift_ppm: the array's clock against the system's.
        certificate_days: until the unit's certificate ends.
        shed_share: share of analysis that was shed lately.
    """

    at: Time
    severity: SeverityWord
    may_go_live: bool
    problems: Annotated[tuple[ProblemLine, ...], Meta(max_length=64)] = ()
    celsius: float | None = None
    throttled: tuple[Line, ...] = ()
    disk_free_mib: float | None = None
    clock_synchronised: bool | None = None
    clock_frequency_ppm: float | None = None
    array_drift_ppm: float | None = None
    certificate_days: float | None = None
    shed_share: float = 0.0


class Levels(_Message, frozen=True, kw_only=True):
    """Sound pressure levels in dB re 20 µPa, unweighted, by microphone in profile order."""

    at: Time
    db_spl: Annotated[tuple[float, ...], Meta(max_length=64)]
    floor_db_spl: Annotated[tuple[float, ...], Meta(max_length=64)] = ()


class Buffer(_Message, frozen=True, kw_only=True):
    """Depth of the durable buffer and the way to the relay."""

    at: Time
    level: Literal["ok", "warn", "high", "full"]
    pending: Count
    pending_mib: float
    relay_up: bool
    lost_s: float = 0.0


class Alarm(_Message, frozen=True, kw_only=True):
    """A problem was raised or is over."""

    at: Time
    raised: bool
    code: Word
    check: Word
    severity: SeverityWord
    subject: Word = ""
    words: Line
    what_to_do: Line = ""


class Answer(_Message, frozen=True, kw_only=True):
    """What became of a command.

    Attributes:
        at: when.
        id: of the command, or empty when it could not be read.
        name: of the command, or empty.
        outcome: ``refused``: it was not carried out, ``reason`` says why by a stable code;
            ``failed``: it was tried.
        reason: code.
        result: what it gave, by name.
    """

    at: Time
    id: Word = ""
    name: Word = ""
    outcome: Literal["done", "refused", "failed"]
    reason: Word = ""
    result: dict[str, Any] = {}


FromUnit = Status | Health | Levels | Buffer | Alarm | Answer

KINDS: dict[str, type[FromUnit]] = {
    "status": Status,
    "health": Health,
    "levels": Levels,
    "buffer": Buffer,
    "alarm": Alarm,
    "answer": Answer,
}
"""The message of each channel that a unit publishes on."""

_DECODERS = {channel: msgspec.json.Decoder(kind) for channel, kind in KINDS.items()}


def encode(message: FromUnit) -> bytes:
    """One message as it travels."""
    return msgspec.json.encode(message)


def decode(channel: str, payload: bytes) -> FromUnit | None:
    """Read what a unit published; None for what is not one of ours, malformed or newer."""
    decoder = _DECODERS.get(channel)
    if decoder is None or len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        message: FromUnit = decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return message
