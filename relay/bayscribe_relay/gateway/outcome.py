"""What one attempt to write a note can come to, other than success.

The texts go to the operator and into the dead-letter queue, never into a log: an EMR may
repeat a patient's data in its answer.
"""

from dataclasses import dataclass, field

from bayscribe_relay.writeback.protocol import Path


class Refused(Exception):  # noqa: N818 - the EMR's decision, not a failure of this program
    """The EMR, or a check before it, said no for good: trying again changes nothing.

    Args:
        reason: one line.
        outcome: the EMR's own words, if it gave any.
    """

    def __init__(self, reason: str, outcome: str = "") -> None:
        super().__init__(reason)
        self.outcome = outcome


class TryAgain(Exception):  # noqa: N818 - an expected turn of events
    """Not in the chart, as far as is known; another attempt may do it.

    Args:
        reason: one line.
        wait_s: what the EMR asked to wait, or None for an own choice.
        throttled: turned away unread for lack of capacity (429, 503): waited out first,
            and counted as a failure only when that takes too long.
        silent: no answer within the time-out.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait_s: float | None = None,
        throttled: bool = False,
        silent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.throttled = throttled
        self.silent = silent


@dataclass(frozen=True)
class Verified:
    """In the chart and read back.

    Attributes:
        path: ``fhir`` or ``mdm``.
        resources: type to reference (with the EMR's own ids).
        etag: of the DocumentReference; empty by MDM.
        verification: ``read-back`` by content, or ``ack`` where the interface cannot be asked.
    """

    path: Path
    resources: dict[str, str]
    etag: str
    verification: str = "read-back"


@dataclass
class Clock:
    """Seconds spent waiting for the EMR over all attempts: writing, and reading back."""

    emr: float = 0.0
    read_back: float = 0.0
    attempts: int = 0


@dataclass
class Job:
    """A note under way at the gateway.

    Attributes:
        key: idempotency key.
        site: site name.
        bundle: the transaction's bytes as made by the relay.
        note_sha256: of the note as attested.
        deadline: when the promise to the clinician ends (RFC 3339).
        failures: consecutive failed attempts.
        path: the way that was begun, or None.
        maybe_stored: a write may have reached the EMR: look before writing again.
        clock: time spent.
    """

    key: str
    site: str
    bundle: bytes
    note_sha256: str
    deadline: str
    failures: int = 0
    path: Path | None = None
    maybe_stored: bool = False
    clock: Clock = field(default_factory=Clock)
