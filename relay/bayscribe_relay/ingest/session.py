"""One device's connection: hello, welcome, then records in and acknowledgements out.

::

    hello? --(other device / malformed / silent)--> closed
      |  the device's lock: an older connection of the same device is ended first
      v
    taking records --(malformed)--> closed 4400
      |            --(more than its credit)--> closed 4429
      |            --(replaced by a newer connection)--> closed 4409
      v a record that does not verify
    blocked: `refuse` was sent, nothing more is taken until the device connects again
"""

import asyncio
import hashlib
import logging
from concurrent.futures import Future
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bayscribe.errors import LinkError, StorageError
from bayscribe.wire.messages import (
    CLOSE_IDENTITY,
    CLOSE_MALFORMED,
    CLOSE_OVERLOADED,
    CLOSE_REPLACED,
    Ack,
    Credit,
    Encounter,
    FromDevice,
    FromRelay,
    Health,
    Hello,
    PromptOutcome,
    Refuse,
    Segment,
    Welcome,
    decode_from_device,
    encode,
)
from bayscribe_relay.ingest.hub import Hub
from bayscribe_relay.ingest.verify import Keys, StreamVerifier, Verdict
from bayscribe_relay.store.records import DeviceMark, Refusal

CLOSE_GOING_AWAY = 1001
CLOSE_TRY_LATER = 1013
BATCH_RECORDS = 32
MINOR = 1

log = logging.getLogger("bayscribe.relay.ingest")


class _CloseError(Exception):
    """Ends the connection with a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Session:
    """The connection of a device whose certificate has been accepted."""

    def __init__(
        self, websocket: ServerConnection, device: str, certificate: x509.Certificate, hub: Hub
    ) -> None:
        self.device = device
        self.certificate = certificate
        self.health: Health | None = None
        self._websocket = websocket
        self._hub = hub
        self._blocked = False
        self._credit = 0
        self._records: asyncio.Queue[Segment | Encounter] = asyncio.Queue(2 * hub.config.credit_max)
        self._stopped: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._committing: Future[bool] | None = None

    # -- what the hub may ask

    async def send(self, message: FromRelay) -> bool:
        """Send a message; whether the connection took it."""
        try:
            await self._websocket.send(encode(message))
        except ConnectionClosed:
            return False
        return True

    def stop(self, code: int, reason: str) -> None:
        """End the connection with a close code."""
        if not self._stopped.done():
            self._stopped.set_result((code, reason))

    # -- the connection

    async def run(self) -> None:
        """Serve the connection to its end."""
        code, reason = CLOSE_GOING_AWAY, "relay ends"
        try:
            hello = await self._hello()
            older = self._hub.connected.get(self.device)
            self._hub.connected[self.device] = self
            if older is not None:
                log.warning("%s connected again: its older connection is ended", self.device)
                older.stop(CLOSE_REPLACED, "replaced by a newer connection")
            async with self._hub.lock(self.device):
                code, reason = await self._serve(hello)
        except _CloseError as close:
            code, reason = close.code, close.reason
        except ConnectionClosed:
            return
        finally:
            if self._hub.connected.get(self.device) is self:
                del self._hub.connected[self.device]
        await self._websocket.close(code, reason)

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(self._hub.config.handshake_s):
                message = self._decode(await self._websocket.recv())
        except TimeoutError:
            log.warning("%s said nothing after connecting", self.device)
            raise _CloseError(CLOSE_MALFORMED, "no hello") from None
        if not isinstance(message, Hello):
            log.warning("%s did not begin with hello", self.device)
            raise _CloseError(CLOSE_MALFORMED, "expected hello")
        if message.device != self.device:
            self._hub.count("impersonations")
            log.warning("%s refused: its hello claims to be another device", self.device)
            raise _CloseError(CLOSE_IDENTITY, "hello does not match the certificate")
        return message

    async def _serve(self, hello: Hello) -> tuple[int, str]:
        """Take records until something ends it; the close code and reason."""
        if self._stopped.done():
            return self._stopped.result()
        loop = asyncio.get_running_loop()
        try:
            verifier = await loop.run_in_executor(self._hub.pool, self._begin, hello)
        except StorageError as error:
            log.error("%s not admitted: %s", self.device, error.line())  # noqa: TRY400 - one line
            return CLOSE_TRY_LATER, "store"
        self._credit = self._hub.credit()
        mark = verifier.mark
        await self.send(
            Welcome(durable=mark.seq, chain=mark.chain, credit=self._credit, minor=MINOR)
        )
        log.info("%s connected, durable through %d", self.device, mark.seq)
        for observer in self._hub.observers:
            observer.joined(self.device)
        tasks: list[asyncio.Task[None]] = [
            loop.create_task(self._receive()),
            loop.create_task(self._work(verifier)),
        ]
        try:
            endings: list[asyncio.Future[object]] = [*tasks, self._stopped]  # type: ignore[list-item]  # invariance
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._wind_up(tasks)
        for task in tasks:
            failure = None if task.cancelled() else task.exception()
            if isinstance(failure, _CloseError):
                return failure.code, failure.reason
            if failure is not None and not isinstance(failure, ConnectionClosed):
                raise failure
        if self._stopped.done():
            return self._stopped.result()
        log.info("%s disconnected", self.device)
        return CLOSE_GOING_AWAY, "gone"

    async def _wind_up(self, tasks: list[asyncio.Task[None]]) -> None:
        """Cancel, and let a commit under way end: the next connection starts at its mark."""
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if self._committing is not None and not self._committing.done():
            await asyncio.wait([asyncio.wrap_future(self._committing)])

    def _begin(self, hello: Hello) -> StreamVerifier:
        """Everything that the store must be asked for; runs in the pool."""
        store = self._hub.store
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        mark = store.admit(self.device, hashlib.sha256(der).digest(), der)
        self._compare(hello, mark)
        return StreamVerifier(
            mark,
            store.open_encounters(self.device),
            self._keys(hashlib.sha256(der).digest()),
            self._hub.opening,
            partial(store.chain_at, self.device),
            partial(store.encounter_known, self.device),
        )

    def _keys(self, presented: bytes) -> Keys:
        """Keys that may sign: the presented certificate's, then earlier unrevoked ones.

        Records that a unit had buffered when its certificate was renewed carry the
        signature of the old key.
        """
        stored = self._hub.store.certificates(self.device)
        order = sorted(stored, key=lambda fingerprint: fingerprint != presented)
        keys: Keys = {}
        for fingerprint in order:
            certificate = x509.load_der_x509_certificate(stored[fingerprint])
            public = certificate.public_key()
            if isinstance(public, ec.EllipticCurvePublicKey) and not (
                self._hub.revocations.revoked(certificate)
            ):
                keys[fingerprint] = public
        return keys

    def _compare(self, hello: Hello, mark: DeviceMark) -> None:
        """Alarm what the two marks say cannot be continued; the device will see it too."""
        if hello.newest < mark.seq:
            what = "rolled-back", f"device ends at {hello.newest}, relay holds {mark.seq}"
        elif hello.oldest > mark.seq + 1:
            what = "hole", f"device starts at {hello.oldest}, relay holds {mark.seq}"
        else:
            return
        nothing = hashlib.sha256(b"").digest()
        self._alarm(Refusal(self.device, mark.seq + 1, what[0], what[1], "", nothing))

    def _alarm(self, refusal: Refusal) -> None:
        times = self._hub.store.refuse(refusal)
        log.error(
            "ALARM %s: record %d refused: %s: %s (%d times)",
            refusal.device,
            refusal.seq,
            refusal.reason,
            refusal.detail,
            times,
        )

    def _decode(self, data: bytes | str) -> FromDevice | None:
        try:
            message = decode_from_device(data)
        except LinkError:
            self._hub.count("malformed")
            log.warning("%s sent a malformed message of %d bytes", self.device, len(data))
            raise _CloseError(CLOSE_MALFORMED, "malformed message") from None
        if message is None:
            self._hub.count("unknown")
        return message

    async def _receive(self) -> None:
        async for data in self._websocket:
            match self._decode(data):
                case Segment() | Encounter() as record:
                    if self._blocked:
                        self._hub.count("ignored")
                        continue
                    try:
                        self._records.put_nowait(record)
                    except asyncio.QueueFull:
                        log.warning("%s sent far more than its credit", self.device)
                        raise _CloseError(CLOSE_OVERLOADED, "credit exceeded") from None
                case PromptOutcome() as outcome:
                    await self._note(outcome)
                case Health() as health:
                    self.health = health
                case Hello():
                    log.warning("%s said hello twice", self.device)
                    raise _CloseError(CLOSE_MALFORMED, "second hello")
                case None:
                    continue

    async def _note(self, outcome: PromptOutcome) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._hub.pool,
                self._hub.store.note_outcome,
                self.device,
                outcome.id,
                outcome.outcome,
                outcome.reason,
                outcome.wall_ns,
            )
        except StorageError as error:
            log.error("%s: outcome not stored: %s", self.device, error.line())  # noqa: TRY400
            raise _CloseError(CLOSE_TRY_LATER, "store") from None
        for observer in self._hub.observers:
            observer.outcome(self.device, outcome)

    async def _work(self, verifier: StreamVerifier) -> None:
        loop = asyncio.get_running_loop()
        while True:
            records = [await self._records.get()]
            while len(records) < BATCH_RECORDS and not self._records.empty():
                records.append(self._records.get_nowait())
            if self._blocked:
                self._hub.count("ignored", len(records))
                continue
            try:
                verdict = await loop.run_in_executor(self._hub.pool, verifier.check, records)
                await self._store(verdict)
                if verdict.refusal is not None:
                    await loop.run_in_executor(self._hub.pool, self._alarm, verdict.refusal)
            except StorageError as error:
                log.error("%s: nothing stored: %s", self.device, error.line())  # noqa: TRY400
                raise _CloseError(CLOSE_TRY_LATER, "store") from None
            await self._answer(verdict, verifier.mark)

    async def _store(self, verdict: Verdict) -> None:
        self._hub.count("duplicates", verdict.duplicates)
        if verdict.batch is None:
            return
        self._committing = self._hub.committer.submit(verdict.batch)
        # Shielded: a connection that ends must not undo a commit already promised to run.
        if not await asyncio.shield(asyncio.wrap_future(self._committing)):
            log.warning("%s: its stream was continued elsewhere", self.device)
            raise _CloseError(CLOSE_REPLACED, "stream continued elsewhere")
        self._hub.count("records", len(verdict.batch.records))
        for observer in self._hub.observers:
            observer.stored(self.device)

    async def _answer(self, verdict: Verdict, mark: DeviceMark) -> None:
        credit = self._hub.credit()
        if credit != self._credit:
            self._credit = credit
            await self.send(Credit(credit=credit))
        if verdict.batch is not None or verdict.duplicates:
            await self.send(Ack(through=mark.seq, chain=mark.chain))
        if verdict.refusal is not None:
            self._blocked = True
            self._hub.count("refused")
            await self.send(
                Refuse(
                    seq=verdict.refusal.seq,
                    reason=verdict.refusal.reason,
                    detail=verdict.refusal.detail[:200],
                )
            )
