"""Carries notes: attempt, read-back, retry with the same key, dead letter, alert.

One task a note; a note that fails never holds up another. The clock of the promise: a
write without an answer within the site's time-out is parked and tried again; after the
site's number of failed retries it is given up and people are told.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from bayscribe.errors import StorageError
from bayscribe_relay.gateway.alerts import Alerts, alert_body
from bayscribe_relay.gateway.journal import UNFINISHED, Entry, EntryState, Journal
from bayscribe_relay.gateway.outcome import Job, Refused, TryAgain, Verified
from bayscribe_relay.gateway.site import Site
from bayscribe_relay.writeback.protocol import (
    Accepted,
    Commit,
    Committed,
    Progress,
    ProgressState,
    Rejected,
    Timings,
    ToRelay,
)

log = logging.getLogger("bayscribe.gateway")

BACKOFF_BASE_S: Final = 0.5
BACKOFF_MAX_S: Final = 5.0
STORAGE_PAUSE_S: Final = 1.0
DECODE_ANSWER: Final = msgspec.json.Decoder(Committed | Rejected)

Listener = Callable[[ToRelay], None]


class Courier:
    """Every note under way at this gateway.

    Args:
        journal: durable memory.
        sites: by name.
        alerts: how people are told.
    """

    def __init__(self, journal: Journal, sites: dict[str, Site], alerts: Alerts) -> None:
        self._journal = journal
        self._sites = sites
        self._alerts = alerts
        self._listeners: dict[str, set[Listener]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._alerting: dict[str, asyncio.Task[None]] = {}

    # -- what relays ask

    def resume(self) -> int:
        """Go on with everything that was under way when the gateway ended; how much it was."""
        jobs = self._journal.unfinished()
        for job in jobs:
            if job.site in self._sites:
                self._start(job)
        for entry in self._journal.unalerted():
            self._alert(entry)
        return len(jobs)

    async def close(self) -> None:
        """Stop carrying; what is under way is gone on with after the next start."""
        tasks = [*self._tasks.values(), *self._alerting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def commit(self, message: Commit, listener: Listener) -> None:
        """Take a note in, durably, and carry it; every answer goes to ``listener``."""
        bundle = bytes(message.bundle)
        digest = hashlib.sha256(bundle).hexdigest()
        if message.site not in self._sites:
            listener(Rejected(message.key, f"this gateway has no site {message.site}", False))
            return
        self._listen(message.key, listener)
        job = Job(message.key, message.site, bundle, message.note_sha256, message.deadline)
        known = await self._journal.accept(job, digest)
        if known is None:
            listener(Accepted(message.key))
            self._start(job)
            return
        if known.bundle_sha256 != digest:
            listener(Rejected(message.key, "the key stands for another note", False))
            return
        if message.replay and known.state in ("dead", "rejected"):
            job.maybe_stored = known.attempts > 0
            await self._journal.reopen(job)
            listener(Accepted(message.key))
            self._start(job)
            return
        self._answer(known, listener)

    def query(self, key: str, listener: Listener) -> None:
        """Say where a note stands, and go on saying so."""
        self._listen(key, listener)
        known = self._journal.get(key)
        if known is None:
            listener(Progress(key, "unknown"))
        else:
            self._answer(known, listener)

    def forget(self, listener: Listener) -> None:
        """A relay has gone."""
        for key in list(self._listeners):
            self._leave(key, listener)

    def _answer(self, known: Entry, listener: Listener) -> None:
        if known.state in UNFINISHED:
            listener(Accepted(known.key))
            stands: ProgressState = "parked" if known.state == "parked" else "working"
            listener(Progress(known.key, stands, known.reason, known.attempts))
            return
        if known.state == "committed" or known.alerted_ns is not None:
            self._leave(known.key, listener)
        if known.answer is not None:
            listener(DECODE_ANSWER.decode(known.answer))
        if known.alerted_ns is not None:
            listener(Progress(known.key, "alerted"))

    def _listen(self, key: str, listener: Listener) -> None:
        self._listeners.setdefault(key, set()).add(listener)

    def _leave(self, key: str, listener: Listener) -> None:
        listeners = self._listeners.get(key, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(key, None)

    def _say(self, message: ToRelay) -> None:
        for listener in tuple(self._listeners.get(message.key, ())):
            listener(message)

    # -- carrying

    def _start(self, job: Job) -> None:
        if job.key in self._tasks:
            return
        task = asyncio.get_running_loop().create_task(self._carry(job))
        self._tasks[job.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.key, None))

    async def _carry(self, job: Job) -> None:
        while True:
            try:
                await self._carry_to_end(job)
            except StorageError as error:
                log.error("journal failed", extra={"key": job.key, "code": error.code})  # noqa: TRY400 - one line; the code says it
                job.maybe_stored = True
                await asyncio.sleep(STORAGE_PAUSE_S)
            else:
                return

    async def _carry_to_end(self, job: Job) -> None:
        site = self._sites[job.site]
        throttled_since: float | None = None
        throttles = 0
        while True:
            outcome = await self._attempt(job, site)
            if isinstance(outcome, Verified):
                return await self._verified(job, outcome)
            if isinstance(outcome, Refused):
                return await self._refused(job, outcome)
            if not outcome.throttled:
                throttled_since, throttles = None, 0
            else:
                throttled_since = throttled_since or time.monotonic()
                if time.monotonic() - throttled_since < site.config.throttle_patience_s:
                    self._say(Progress(job.key, "waiting", str(outcome)))
                    throttles += 1
                    await asyncio.sleep(_pause(throttles, outcome.wait_s))
                    continue
            if not await self._failed(job, site, outcome):
                return None

    async def _attempt(self, job: Job, site: Site) -> Verified | Refused | TryAgain:
        try:
            async with site.slots:
                return await site.attempt(job, self._journal.begun)
        except (Refused, TryAgain) as outcome:
            return outcome
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end in the dead-letter queue
            name = type(error).__name__
            log.error("attempt failed", extra={"key": job.key, "cause": name})  # noqa: TRY400 - a traceback may hold the note
            return TryAgain(f"the gateway itself failed: {name}")

    async def _failed(self, job: Job, site: Site, failure: TryAgain) -> bool:
        """Park a note and wait for the next try; False when it was the last one."""
        job.failures += 1
        if job.failures > site.config.retries:
            reason = f"given up after {job.failures} failures: {failure}"
            answer = Rejected(
                job.key, reason, retryable=True, path=job.path, attempts=job.clock.attempts
            )
            await self._end(job, "dead", answer)
            return False
        await self._journal.progress(job, "parked", str(failure))
        self._say(Progress(job.key, "parked", str(failure), job.clock.attempts))
        await asyncio.sleep(_pause(job.failures, failure.wait_s))
        return True

    async def _refused(self, job: Job, refused: Refused) -> None:
        answer = Rejected(
            job.key,
            str(refused),
            retryable=False,
            outcome=refused.outcome,
            path=job.path,
            attempts=job.clock.attempts,
        )
        await self._end(job, "rejected", answer)

    async def _end(self, job: Job, state: EntryState, answer: Rejected) -> None:
        await self._journal.settle(job, state, answer.reason, msgspec.json.encode(answer))
        self._say(answer)
        entry = self._journal.get(job.key)
        if entry is not None:
            self._alert(entry)

    async def _verified(self, job: Job, verified: Verified) -> None:
        clock = job.clock
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        answer = Committed(
            job.key,
            resources=verified.resources,
            etag=verified.etag,
            verified_at=now,
            path=verified.path,
            verification=verified.verification,
            attempts=clock.attempts,
            timings_ms=Timings(round(clock.emr * 1e3, 1), round(clock.read_back * 1e3, 1)),
        )
        await self._journal.settle(job, "committed", "", msgspec.json.encode(answer))
        late = now > job.deadline
        log.info("note in the chart", extra={"key": job.key, "site": job.site, "late": late})
        self._say(answer)
        self._listeners.pop(job.key, None)

    def _alert(self, entry: Entry) -> None:
        site = self._sites.get(entry.site)
        if site is None or entry.key in self._alerting:
            return
        task = asyncio.get_running_loop().create_task(self._tell(entry, site))
        self._alerting[entry.key] = task
        task.add_done_callback(lambda _: self._alerting.pop(entry.key, None))

    async def _tell(self, entry: Entry, site: Site) -> None:
        kind = "dead-letter" if entry.state == "dead" else "rejected"
        body = alert_body(site.name, site.config, entry.key, kind, entry.reason)
        await self._alerts.deliver(site.config, body)
        await self._journal.alerted(entry.key)
        self._say(Progress(entry.key, "alerted"))
        self._listeners.pop(entry.key, None)


def _pause(failures: int, asked_s: float | None) -> float:
    """Seconds to the next try: full jitter, on top of what the EMR asked for."""
    if asked_s is not None:
        return asked_s + random.uniform(0, BACKOFF_BASE_S)
    return random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(failures, 10)))
