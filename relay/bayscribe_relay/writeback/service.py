"""The write-back as one thing: submit a note, wait for what becomes of it.

Used by ``bayscribe-relay submit``, by ``serve``, and by whatever signs notes. Several of
these may run on one database at a time.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from bayscribe.errors import LinkError
from bayscribe_relay.writeback.alerts import alert_waiting
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.config import Outgoing, WritebackConfig
from bayscribe_relay.writeback.formats import as_sent
from bayscribe_relay.writeback.note import Note, read_note
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.protocol import Committed, Rejected
from bayscribe_relay.writeback.sender import PROMISE_S, Sender
from bayscribe_relay.writeback.states import OPEN, State
from bayscribe_relay.writeback.validation import check_bundle

log = logging.getLogger("bayscribe.writeback")

_LOOK_S: Final = 0.25
"""Between looks at a letter that another relay may be carrying."""


class Writeback:
    """The outbox and its sender, running.

    Use :meth:`running`. ``submit`` returns once the note is durable; ``wait`` once it is
    settled.
    """

    def __init__(self, outgoing: Outgoing) -> None:
        config = outgoing.writeback
        self.outbox = Outbox(outgoing.store_url, str(uuid.uuid4()), config.lease_s)
        self._config = config
        self._sender = Sender(config, self.outbox, self._changed)
        self._waiting: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, outgoing: Outgoing) -> AsyncIterator["Writeback"]:
        """Open the outbox, keep the channel to the gateway, and close both at the end."""
        writeback = cls(outgoing)
        sending = asyncio.create_task(writeback._sender.run())
        try:
            yield writeback
        finally:
            for task in (sending, *writeback._tasks):
                task.cancel()
            await asyncio.gather(sending, *writeback._tasks, return_exceptions=True)
            with contextlib.suppress(Exception):
                await writeback.outbox.release(list(writeback._sender.flying))
            writeback.outbox.close()

    @staticmethod
    async def put(outgoing: Outgoing, data: bytes) -> Letter:
        """Check a note and make it durable, for a running relay to send.

        Raises:
            BadUse: the note is refused; nothing is stored.
        """
        note, bundle = _prepared(data, outgoing.writeback)
        outbox = Outbox(outgoing.store_url, str(uuid.uuid4()), outgoing.writeback.lease_s)
        try:
            return await outbox.enqueue(note, data, bundle, hold=False)
        finally:
            outbox.close()

    async def submit(self, data: bytes) -> Letter:
        """Check a note, store it with its letter in one transaction, and push it.

        Raises:
            BadUse: the note is refused; nothing is stored.
            StorageError: it could not be made durable.
        """
        note, bundle = _prepared(data, self._config)
        letter = await self.outbox.enqueue(note, data, bundle, hold=True)
        if letter.state in OPEN:
            await self._sender.push(letter, bundle)
        return letter

    async def wait(self, key: str, timeout_s: float) -> Letter:
        """Wait until a letter is settled, or parked for want of a gateway.

        Raises:
            LinkError: ``timeout`` if it is still under way then.
        """
        changed = self._waiting.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    changed.clear()
                    letter = self.outbox.get(key)
                    if letter is not None and self._final(letter):
                        return letter
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), _LOOK_S)
        except TimeoutError:
            raise LinkError(
                f"{key} is still under way after {timeout_s:g} s",
                "it is not lost: look at it with `letters show`",
                code="timeout",
            ) from None
        finally:
            self._waiting.pop(key, None)

    def _final(self, letter: Letter) -> bool:
        if letter.state is State.PARKED:
            return self._sender.unreachable
        return letter.state not in OPEN

    def _changed(self, letter: Letter) -> None:
        if (event := self._waiting.get(letter.key)) is not None:
            event.set()
        if letter.state is State.PARKED and self._sender.unreachable and not letter.alerted_ns:
            task = asyncio.get_running_loop().create_task(self._alert(letter))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _alert(self, letter: Letter) -> None:
        if await alert_waiting(self._config.alert_webhook, letter):
            await self.outbox.alerted([letter.key])


def _prepared(data: bytes, config: WritebackConfig) -> tuple[Note, bytes]:
    """A submission, checked and in the form that its site asks for, and its Bundle."""
    note = read_note(data)
    sent = as_sent(note, config.note_format(note.site))
    bundle = make_bundle(sent)
    check_bundle(bundle)
    return sent, bundle


def answer(letter: Letter) -> dict[str, Any]:
    """What ``submit --wait`` prints of a letter."""
    state = "dead_letter" if letter.state is State.PARKED else str(letter.state)
    shown: dict[str, Any] = {
        "key": letter.key,
        "state": state,
        "path": None,
        "resources": {},
        "etag": None,
        "timings_ms": _timings(letter),
        "reason": letter.reason or None,
        "attempts": letter.attempts,
        "late": _late(letter),
    }
    if letter.answer is None:
        return shown
    if letter.state is State.VERIFIED:
        said = msgspec.json.decode(letter.answer, type=Committed)
        shown |= {"path": said.path, "resources": said.resources, "etag": said.etag}
        shown |= {"verified_at": said.verified_at, "verification": said.verification}
        shown["timings_ms"] |= {
            "emr": round(said.timings_ms.emr, 1),
            "read_back": round(said.timings_ms.read_back, 1),
        }
    else:
        refused = msgspec.json.decode(letter.answer, type=Rejected)
        shown |= {"path": refused.path, "outcome": refused.outcome or None}
    return shown


def _late(letter: Letter) -> bool:
    """Whether the promise of thirty seconds is broken, by now or in the end."""
    return (letter.settled_ns or time.time_ns()) - letter.received_ns > PROMISE_S * 1e9


def _timings(letter: Letter) -> dict[str, float | None]:
    def since(moment: int | None) -> float | None:
        return None if moment is None else round((moment - letter.received_ns) / 1e6, 1)

    return {
        "signed_to_gateway": since(letter.accepted_ns),
        "emr": None,
        "read_back": None,
        "total": since(letter.settled_ns),
    }
