"""What the fault-injecting EMR can be told: behaviour, latency and faults.

One strict structure, taken from a JSON file at start and changed while the program runs
by ``PATCH /_admin/settings``.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

Seconds = float
Range = tuple[Seconds, Seconds]


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the EMR takes, uniformly between two bounds, for each kind of request."""

    write: Range = (0.0, 0.0)
    read: Range = (0.0, 0.0)
    mdm: Range = (0.0, 0.0)


# Write latencies: the ranges that sites report for these products. Reads are taken as a
# quarter of a write, as such servers answer reads from a replica or a cache.
PROFILES: Final = {
    "zero": Latency(),
    "epic": Latency(write=(2.0, 4.0), read=(0.5, 1.0), mdm=(2.0, 4.0)),
    "athenahealth": Latency(write=(1.0, 3.0), read=(0.25, 0.75), mdm=(1.0, 3.0)),
    "oracle-health": Latency(write=(3.0, 6.0), read=(0.75, 1.5), mdm=(3.0, 6.0)),
}


class Fault(StrEnum):
    """Everything that this EMR can do wrong on request."""

    # FHIR, nothing is stored
    TOO_MANY = "too-many"  # 429, Retry-After in seconds
    TOO_MANY_DATE = "too-many-date"  # 429, Retry-After as an HTTP date
    UNAVAILABLE = "unavailable"  # 503, Retry-After in seconds
    PRECONDITION = "precondition"  # 412
    CONFLICT = "conflict"  # 409
    SERVER_ERROR = "server-error"  # 500
    UNAUTHORIZED = "unauthorized"  # 401
    HANG = "hang"  # no answer at all
    RESET = "reset"  # TCP reset
    ENTRY_429 = "entry-429"  # 200 whose entries say 429
    STORED_BUT_LOST = "stored-but-lost"  # a perfect answer; also MDM: AA
    # FHIR, stored in part or altered
    PARTIAL = "partial"  # a transaction run as a batch: later entries 429
    ALTERED = "altered"  # stores something else than was sent
    # FHIR, stored, and the answer goes wrong
    ANSWER_LOST = "answer-lost"  # no answer; also MDM
    RESET_AFTER_COMMIT = "reset-after-commit"  # also MDM
    ERROR_AFTER_COMMIT = "error-after-commit"  # 500
    SLOW_DRIP = "slow-drip"  # the answer a few bytes at a time
    MALFORMED = "malformed"  # 200 with half a JSON text; also MDM: half an ACK
    # MDM
    NACK_ERROR = "ae"
    NACK_REJECT = "ar"
    NO_ACK = "no-ack"  # nothing is stored, nothing is said
    LATE_ACK = "late-ack"  # stored, acknowledged after `late_s`
    WRONG_CONTROL_ID = "wrong-control-id"  # stored, MSA-2 of another message
    TWO_FRAMES = "two-frames"  # a stranger's ACK and the right one in one write
    FRAGMENTED = "fragmented"  # the ACK in many small writes


READ_FAULTS: Final = frozenset(
    {
        Fault.TOO_MANY,
        Fault.TOO_MANY_DATE,
        Fault.UNAVAILABLE,
        Fault.SERVER_ERROR,
        Fault.HANG,
        Fault.RESET,
        Fault.SLOW_DRIP,
        Fault.MALFORMED,
    }
)
MDM_FAULTS: Final = frozenset(
    {
        Fault.NACK_ERROR,
        Fault.NACK_REJECT,
        Fault.NO_ACK,
        Fault.LATE_ACK,
        Fault.WRONG_CONTROL_ID,
        Fault.TWO_FRAMES,
        Fault.FRAGMENTED,
        Fault.RESET_AFTER_COMMIT,
        Fault.ANSWER_LOST,
        Fault.STORED_BUT_LOST,
        Fault.MALFORMED,
    }
)
FHIR_FAULTS: Final = frozenset(Fault) - frozenset(
    {
        Fault.NACK_ERROR,
        Fault.NACK_REJECT,
        Fault.NO_ACK,
        Fault.LATE_ACK,
        Fault.WRONG_CONTROL_ID,
        Fault.TWO_FRAMES,
        Fault.FRAGMENTED,
    }
)

Operation = Literal["transaction", "write", "read", "search", "metadata", "token", "mdm", "query"]


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The EMR's behaviour. Defaults: a fast, faultless, strict server that ignores the key."""

    latency: Latency = msgspec.field(default_factory=Latency)
    seed: int = 1
    fault_mix: dict[Fault, float] = msgspec.field(default_factory=dict)
    mdm_fault_mix: dict[Fault, float] = msgspec.field(default_factory=dict)
    read_fault_factor: float = 0.2
    storm_every_s: float = 0.0
    storm_s: float = 0.0
    retry_after_s: int = 1
    hang_s: float = 60.0
    late_s: float = 15.0
    drip_bytes: int = 16
    drip_s: float = 0.02
    clock_skew_s: float = 0.0
    requests_per_second: float = 0.0
    fhir_write: bool = True
    update_create: bool = True
    conditional_create: bool = True
    honours_idempotency_key: bool = False
    honours_if_match: bool = True
    rewrites_attachment_url: bool = True
    strict_references: bool = True
    strict_search: bool = True
    auth: Literal["none", "bearer", "smart"] = "none"
    bearer_token: str = ""
    smart_client_id: str = "bayscribe"
    smart_jwks: list[dict[str, str]] = msgspec.field(default_factory=list)
    scopes: str = "system/*.read system/*.write"
    token_s: int = 300
    mdm_dedupe: Literal["document", "control-id", "none"] = "document"
    mdm_query: bool = True


class Scripted(msgspec.Struct, forbid_unknown_fields=True):
    """One fault asked for by a test: the next ``times`` matching requests get it."""

    fault: Fault
    operation: Operation | None = None
    key: str | None = None
    times: int = 1
    skip: int = 0
