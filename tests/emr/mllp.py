"""The EMR's MLLP listener: MDM in, ACK out, document query, and everything that goes wrong."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from emr.faults import FaultPlan
from emr.hl7 import END, START, Message, NotHl7, acknowledgement, query_response
from emr.settings import Fault, Operation, Settings
from emr.store import Store

_LARGEST: Final = 64 * 1024 * 1024
_NOT_STORED: Final = (
    Fault.NACK_ERROR,
    Fault.NACK_REJECT,
    Fault.NO_ACK,
    Fault.STORED_BUT_LOST,
)


class MllpServer:
    """Answers each connection's frames in order.

    Args:
        store: the durable record.
        settings: the behaviour.
        plan: the faults to come.
    """

    def __init__(self, store: Store, settings: Settings, plan: FaultPlan) -> None:
        self.store = store
        self.settings = settings
        self.plan = plan
        self._open: set[asyncio.StreamWriter] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        self._open.add(writer)
        try:
            while True:
                await reader.readuntil(START)
                frame = await reader.readuntil(END)
                await self._frame(frame[: -len(END)], writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await writer.wait_closed()

    def drop_all(self) -> None:
        """Close every connection."""
        for writer in self._open:
            writer.close()

    async def _frame(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            message = Message.parse(frame.decode("utf-8", "replace"))
        except NotHl7 as error:
            place = self.store.arrived("mdm", "MLLP", "", None)
            self.store.answered(place, f"AR {error}", None)
            writer.write(START + f"MSH|^~\\&|||||||ACK|0|P|2.5.1\rMSA|AR||{error}\r".encode() + END)
            await writer.drain()
            return
        kind, control = message.field("MSH", 9), message.field("MSH", 10)
        operation: Operation = "query" if kind[:3] in ("QBP", "QRY") else "mdm"
        document = message.component("TXA", 12) or message.component("QPD", 3)
        place = self.store.arrived(operation, "MLLP", kind, document or control)
        fault = self.plan.choose(operation, control)
        await asyncio.sleep(self.plan.delay(operation))
        code, text = self._carry_out(message, fault, operation)
        self.store.answered(place, code, fault)
        await self._answer(message, code, text, fault, writer)

    def _carry_out(
        self, message: Message, fault: Fault | None, operation: Operation
    ) -> tuple[str, str]:
        """Store the document; gives MSA-1 and the text, or the whole response of a query."""
        if fault is Fault.NACK_ERROR:
            return "AE", "Database locked"
        if fault is Fault.NACK_REJECT:
            return "AR", "Not accepted now"
        if operation == "query":
            if not self.settings.mdm_query:
                return "AR", "Queries are not supported"
            return "AA", query_response(message, self._found(message))
        if message.component("MSH", 9, 1) != "MDM" or not message.component("TXA", 12):
            return "AR", "Only MDM with TXA-12 is taken"
        if not message.field("PID", 3) or not message.all("OBX"):
            return "AE", "Required segment or field missing"
        if fault not in _NOT_STORED and not self._known(message):
            control, document = message.field("MSH", 10), message.component("TXA", 12)
            visit, status = message.component("PV1", 19), message.field("TXA", 17)
            patient = message.component("PID", 3)
            self.store.add_document((document, control, patient, visit, status, message.text))
        return "AA", ""

    def _known(self, message: Message) -> bool:
        if self.settings.mdm_dedupe == "document":
            return bool(self.store.documents("document", message.component("TXA", 12)))
        if self.settings.mdm_dedupe == "control-id":
            return bool(self.store.documents("control_id", message.field("MSH", 10)))
        return False

    def _found(self, message: Message) -> list[str]:
        """Documents whose number stands anywhere in the query's parameters."""
        fields = [*message.all("QPD"), *message.all("QRD"), *message.all("QRF")]
        values = {
            part
            for segment in fields
            for text in segment[1:]
            for item in text.split("~")
            for part in item.split("^")
            if part
        }
        return [
            text for value in sorted(values) for text in self.store.documents("document", value)
        ]

    async def _answer(
        self,
        message: Message,
        code: str,
        text: str,
        fault: Fault | None,
        writer: asyncio.StreamWriter,
    ) -> None:
        if fault in (Fault.NO_ACK, Fault.ANSWER_LOST):
            return
        if fault is Fault.RESET_AFTER_COMMIT:
            _reset(writer)
            raise ConnectionResetError
        if fault is Fault.LATE_ACK:
            await asyncio.sleep(self.settings.late_s)
        stranger = acknowledgement(message, "AA", control_id="OTHER-0001")
        reply = text if text.startswith("MSH") else acknowledgement(message, code, text)
        frame = START + reply.encode() + END
        if fault is Fault.WRONG_CONTROL_ID:
            frame = START + stranger.encode() + END
        if fault is Fault.TWO_FRAMES:
            frame = START + stranger.encode() + END + frame
        if fault is Fault.MALFORMED:
            frame = START + reply[: len(reply) // 3].encode() + END
        if fault is not Fault.FRAGMENTED:
            writer.write(frame)
            await writer.drain()
            return
        for start in range(0, len(frame), 7):
            writer.write(frame[start : start + 7])
            await writer.drain()
            await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def listen(server: MllpServer, host: str, port: int, tls: "object | None") -> asyncio.Server:
    """Open the listener."""
    import ssl

    context = tls if isinstance(tls, ssl.SSLContext) else None
    return await asyncio.start_server(server.connected, host, port, ssl=context, limit=_LARGEST)
