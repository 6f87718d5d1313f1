"""Commands to a unit that a compromised broker can neither make nor repeat.

::

    payload = {"v": 1, "body": BODY, "signature": SIGNATURE}
    BODY      = JSON of CommandBody, as text: what is signed is exactly these bytes
    SIGNATURE = ECDSA P-256 / SHA-256 over DOMAIN + BODY, base64

The key is the fleet's own, not the broker's nor the relay's TLS key. A unit carries out a
command only if the signature is good, it names this very unit, it has not expired, and its
counter is higher than every counter that the unit ever accepted; the counter is on the
unit's disk before the command is carried out, so that a crash cannot open it again.
"""

import base64
import binascii
import secrets
import time
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta, Struct

from bayscribe.errors import BayscribeError

DOMAIN = b"bayscribe-command-v1\x00"
"""Keeps a signature over a command from being one over anything else."""

LONGEST_LIFE_S = 3600
MAX_COMMAND_BYTES = 32 << 10

CommandName = Literal[
    "mute", "unmute", "self-test", "diagnostics", "rotate-certificate", "stage-update"
]


class CommandRefused(BayscribeError):  # noqa: N818 - says what was done
    """A command that is not carried out; ``code`` says why.

    Attributes:
        id: of the command, once its signature was found good; empty before.
    """

    code = "refused"

    def __init__(self, message: str, *, code: str, id: str = "") -> None:  # noqa: A002 - its name
        super().__init__(message, code=code)
        self.id = id


class CommandBody(Struct, frozen=True, kw_only=True):
    """What is signed.

    Attributes:
        v: version.
        device: the one unit that it is for.
        id: random; the answer carries it.
        counter: higher than that of every command before.
        expires: Unix time in seconds after which it is void.
        name: what to do.
        arguments: with what.
    """

    v: Literal[1] = 1
    device: Annotated[str, Meta(min_length=1, max_length=64)]
    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    counter: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    expires: Annotated[int, Meta(ge=0)]
    name: CommandName
    arguments: Annotated[dict[str, str], Meta(max_length=8)] = {}


class SignedCommand(Struct, frozen=True, kw_only=True):
    """What travels on the ``command`` topic."""

    v: Literal[1] = 1
    body: str
    signature: str


def new_body(
    device: str, name: CommandName, arguments: dict[str, str] | None = None, life_s: int = 60
) -> CommandBody:
    """A new command; its counter is the time in microseconds, so that it only grows."""
    return CommandBody(
        device=device,
        id=secrets.token_hex(16),
        counter=time.time_ns() // 1000,
        expires=int(time.time()) + life_s,
        name=name,
        arguments=arguments or {},
    )


def sign(key: ec.EllipticCurvePrivateKey, body: CommandBody) -> bytes:
    """The payload of a command."""
    text = msgspec.json.encode(body)
    signature = key.sign(DOMAIN + text, ec.ECDSA(hashes.SHA256()))
    signed = SignedCommand(body=text.decode(), signature=base64.b64encode(signature).decode())
    return msgspec.json.encode(signed)


def verify(
    key: ec.EllipticCurvePublicKey, payload: bytes, device: str, newest: int, now_s: float
) -> CommandBody:
    """Read a command for ``device`` that has accepted counters up to ``newest``.

    Raises:
        CommandRefused: ``malformed``, ``bad-signature``, ``foreign-device``, ``expired``,
            ``too-long-lived`` or ``replayed``; in this order, so that nothing is said of a
            command whose signature is not good.
    """
    try:
        if len(payload) > MAX_COMMAND_BYTES:
            raise CommandRefused("the command is too long", code="malformed")
        signed = msgspec.json.decode(payload, type=SignedCommand)
        signature = base64.b64decode(signed.signature, validate=True)
        key.verify(signature, DOMAIN + signed.body.encode(), ec.ECDSA(hashes.SHA256()))
        body = msgspec.json.decode(signed.body, type=CommandBody)
    except (msgspec.MsgspecError, UnicodeError, binascii.Error):
        raise CommandRefused("the command cannot be read", code="malformed") from None
    except InvalidSignature:
        raise CommandRefused("the signature is not good", code="bad-signature") from None
    if body.device != device:
        raise CommandRefused("it is for another unit", code="foreign-device", id=body.id)
    if body.expires < now_s:
        raise CommandRefused("it has expired", code="expired", id=body.id)
    if body.expires > now_s + LONGEST_LIFE_S:
        raise CommandRefused("it lives too long", code="too-long-lived", id=body.id)
    if body.counter <= newest:
        raise CommandRefused("its counter was used before", code="replayed", id=body.id)
    return body
