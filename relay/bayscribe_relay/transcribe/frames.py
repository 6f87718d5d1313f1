"""Frames between the relay and a recogniser process: length (u32 BE), then MessagePack."""

import socket
from typing import Final

import msgspec
from msgspec import Struct

from bayscribe_relay.transcribe.recogniser import Stretch

MOST_BYTES: Final = 16 << 20


class Setup(Struct, frozen=True, tag="setup"):
    """First frame to the process: what to load."""

    folder: str
    language: str
    threads: int
    beam: int
    memory_mib: int


class Listen(Struct, frozen=True, tag="listen"):
    """Audio to recognise: int16, native order, 16 kHz."""

    pcm: bytes


class Ready(Struct, frozen=True, tag="ready"):
    """The model is loaded."""


class Heard(Struct, frozen=True, tag="heard"):
    """What was recognised."""

    stretches: tuple[Stretch, ...]


class Failed(Struct, frozen=True, tag="failed"):
    """An exception, by its type: its text might repeat what was said."""

    reason: str


Frame = Setup | Listen | Ready | Heard | Failed

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def send(link: socket.socket, frame: Frame) -> None:
    """Write a frame.

    Raises:
        OSError: the other side has gone, or the socket's time-out passed.
    """
    body = _encoder.encode(frame)
    link.sendall(len(body).to_bytes(4, "big") + body)


def receive(link: socket.socket) -> Frame:
    """Read a frame.

    Raises:
        EOFError: the other side has gone.
        OSError: the socket's time-out passed.
        ValueError: not a frame.
    """
    length = int.from_bytes(_exactly(link, 4), "big")
    if length > MOST_BYTES:
        raise ValueError("frame too long")
    try:
        return _decoder.decode(_exactly(link, length))
    except msgspec.MsgspecError as error:
        raise ValueError("frame unreadable") from error


def _exactly(link: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = link.recv(min(length - len(parts), 1 << 16))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
