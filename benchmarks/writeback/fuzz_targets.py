"""What is fuzzed: each target takes any bytes and may raise nothing that it does not promise."""

import contextlib
import logging
import random
from collections.abc import Callable
from typing import Final

import msgspec

from bayscribe.errors import BadUse, LinkError
from bayscribe_relay.gateway.config import Interface
from bayscribe_relay.gateway.document import read_document
from bayscribe_relay.gateway.fhir.capability import read_capability
from bayscribe_relay.gateway.fhir.client import Answer, outcome_words
from bayscribe_relay.gateway.mdm.er7 import Message
from bayscribe_relay.gateway.mdm.message import (
    acknowledgement,
    make_mdm,
    make_query,
    stored_content,
)
from bayscribe_relay.gateway.outcome import Refused
from bayscribe_relay.hl7.framing import END, START, Framer
from bayscribe_relay.writeback import protocol
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from benchmarks.writeback import notes

CANARY: Final = "CanaryPatientName"
"""Put into what is fuzzed; it may stand in no log record."""
_KEY: Final = "01890000-0000-7000-8000-000000000001"
_FRAME_MAX: Final = 4_096


class LeakError(AssertionError):
    """Content has come into a log."""


class Watch(logging.Handler):
    """Raises when a log record holds the canary; on the root logger, at every level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        if CANARY in record.getMessage() or CANARY in str(record.__dict__):
            raise LeakError(record.name)

    def handleError(  # noqa: N802 - logging's own name
        self, record: logging.LogRecord
    ) -> None:
        """Let a leak through to the fuzzer."""
        raise LeakError(record.name)


def mllp(data: bytes) -> None:
    """MLLP framing: any stream in any chunks is framed within bounds, or refused."""
    step = 1 + data[0] if data else 1
    framer = Framer(most=_FRAME_MAX)
    stream = START + CANARY.encode() + END + data[1:]
    try:
        for place in range(0, len(stream), step):
            for frame in framer.push(stream[place : place + step]):
                if len(frame) > _FRAME_MAX:
                    raise AssertionError("a frame beyond its bound")
    except ValueError:
        return


def hl7(data: bytes) -> None:
    """HL7 v2 parsing: any bytes are a message or none."""
    for text in (data, b"MSH|^~\\&|" + CANARY.encode() + b"|" + data):
        found = Message.parse(text)
        if found is not None:
            acknowledgement(found)
            stored_content(found, _KEY)
            found.component("MSA", 2, 7)


def websocket(data: bytes) -> None:
    """Messages of the commit channel: understood, passed over, or refused."""
    text = data.decode("utf-8", "replace")
    for frame in (text, data, '{"key":"' + CANARY + '",' + text):
        for decode in (protocol.decode_to_gateway, protocol.decode_to_relay):
            try:
                decode(frame)
            except LinkError as error:
                if CANARY in error.line():
                    raise LeakError("the error's own line") from error


def fhir(data: bytes) -> None:
    """FHIR answers and Bundles: judged, or refused."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    outcome_words(body)
    read_capability(body, "system/*.cu")
    if isinstance(body, dict):
        Answer(200, body, "").words()
    with contextlib.suppress(Refused):
        read_document(_KEY, data, "0" * 64)


def note(data: bytes) -> None:
    """Submissions: taken, or refused in a line that repeats nothing."""
    for text in (data, b'{"site":"' + CANARY.encode() + b'",' + data):
        try:
            read_note(text)
        except BadUse as error:
            if CANARY in error.line():
                raise LeakError("the error's own line") from error


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "mllp": mllp,
    "hl7": hl7,
    "websocket": websocket,
    "fhir": fhir,
    "note": note,
}


def watched() -> Watch:
    """Begin to watch every logger."""
    watch = Watch()
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(watch)
    return watch


def seeds() -> dict[str, list[bytes]]:
    """Good inputs for each target, from which a fuzzer sets out."""
    signed = notes.make(0, 1, draw=random.Random(1))
    taken = read_note(signed.body)
    bundle = make_bundle(taken)
    document = read_document(signed.key, bundle, signed.sha256)
    message = make_mdm(document, Interface())
    query, _ = make_query(document, Interface(), "qbp")
    outcome = b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"x"}]}'
    server = b'{"rest":[{"mode":"server","resource":[{"type":"Binary"}],"interaction":[]}]}'
    commit = protocol.Commit(signed.key, "demo", msgspec.Raw(b"{}"), signed.sha256, "2026")
    told = protocol.Rejected(signed.key, "why", retryable=True)
    return {
        "mllp": [b"\x05" + START + message + END],
        "hl7": [message, query],
        "websocket": [protocol.encode(word).encode() for word in (commit, told)],
        "fhir": [bundle, outcome, server],
        "note": [signed.body],
    }
