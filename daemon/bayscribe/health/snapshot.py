"""What the checks look at: figures and states of one moment, without an opinion.

Everything is optional: a collector that cannot know something leaves it ``None``, and a
check says nothing about what nobody knows.
"""

from dataclasses import dataclass, field

from bayscribe.stream import FaultCode


@dataclass(frozen=True, slots=True)
class ChannelFault:
    """A fault that the channel check has raised: what, on which microphone, a figure."""

    code: FaultCode
    microphone: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ArrayView:
    """The microphone array and the thread that reads it.

    Attributes:
        present: whether the array is open.
        muted: whether capture discards what it reads.
        problem: why it is not open, one line, or empty.
        format_refused: whether it is there with another rate, format or channel count.
        silent_for_s: seconds since it last gave frames; 0 before it ever did.
        faults: of its channels.
        listened_s: seconds of sound that the figures below stand on.
        levels_db_spl: of each microphone over the last second.
        spread_db: level of each microphone against the median one, over half a minute.
        floor_db_spl: quietest tenth of the last minute, by microphone.
        drift_ppm: its clock against the system's, positive when fast.
        overruns: lately, as all counters here: in the last :data:`RECENT_S`.
        gap_frames: frames that were captured and lost.
        short_reads: reads of less than a period.
        misaligned: reads that were not whole frames.
        reopened: times it was opened again.
        real_time: whether the thread runs under SCHED_FIFO.
        mixer: controls that do not stand where the profile wants them, and where they are.
        dsp: on-board processing settings that differ from the profile's.
    """

    present: bool
    muted: bool = False
    problem: str = ""
    format_refused: bool = False
    silent_for_s: float = 0.0
    faults: tuple[ChannelFault, ...] = ()
    listened_s: float = 0.0
    levels_db_spl: tuple[float, ...] = ()
    spread_db: tuple[float, ...] = ()
    floor_db_spl: tuple[float, ...] = ()
    drift_ppm: float | None = None
    overruns: int = 0
    gap_frames: int = 0
    short_reads: int = 0
    misaligned: int = 0
    reopened: int = 0
    real_time: bool | None = None
    mixer: tuple[str, ...] = ()
    dsp: tuple[str, ...] = ()


RECENT_S = 300.0
"""Seconds that a counter counts as lately."""


@dataclass(frozen=True, slots=True)
class ClockView:
    """The wall clock.

    Attributes:
        synchronised: as the kernel says; None where it says nothing.
        required: whether this site lets no unit go live without it.
        frequency_ppm: correction that the kernel applies to the crystal.
        estimated_error_s: the kernel's estimate.
        step_s: largest step of the wall clock against the monotonic one, lately.
        year: of the wall clock.
    """

    synchronised: bool | None = None
    required: bool = False
    frequency_ppm: float | None = None
    estimated_error_s: float | None = None
    step_s: float = 0.0
    year: int | None = None


@dataclass(frozen=True, slots=True)
class DiskView:
    """The disk under the state directory.

    Attributes:
        free_mib: free for the daemon's user.
        least_free_mib: what the buffer's reserve asks for.
        free_inodes_share: 0..1.
        writable: whether a file could be written and flushed.
        life_used: share of the flash's life that is used, 0..1, as it says itself.
        end_of_life: whether it announces its end.
        written_gib_per_day: what uninterrupted recording writes.
        budget_gib_per_day: what this site allows.
    """

    free_mib: float | None = None
    least_free_mib: float = 256.0
    free_inodes_share: float | None = None
    writable: bool | None = None
    life_used: float | None = None
    end_of_life: bool = False
    written_gib_per_day: float | None = None
    budget_gib_per_day: float = 8.0


@dataclass(frozen=True, slots=True)
class BufferView:
    """The durable buffer.

    Attributes:
        level: ``ok``, ``warn``, ``high`` or ``full``.
        pending: records that the relay has not acknowledged.
        pending_mib: what they take.
        damaged: records that recovery found altered or missing.
        held_in_memory: sealed records that wait for the disk.
        lost_s: seconds of audio that neither disk nor memory took.
        problem: why the disk refuses, one line, or empty.
    """

    level: str = "ok"
    pending: int = 0
    pending_mib: float = 0.0
    damaged: int = 0
    held_in_memory: int = 0
    lost_s: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BoardView:
    """The computer.

    Attributes:
        celsius: hottest sensor.
        throttled: what the firmware says holds it back now, in words.
        throttled_before: the same, at some time since power-on.
    """

    celsius: float | None = None
    throttled: tuple[str, ...] = ()
    throttled_before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkView:
    """A connection to the relay or to the broker.

    Attributes:
        up: whether it stands.
        down_for_s: how long it has not.
        problem: last one, one line.
        alarm: what the other side refuses, or empty.
        dropped: messages that a full queue has cost, lately.
    """

    up: bool
    down_for_s: float = 0.0
    problem: str = ""
    alarm: str = ""
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class IdentityView:
    """The unit's certificate and key.

    Attributes:
        problem: why they cannot be used, one line, or empty.
        days_left: until the certificate ends; negative afterwards.
        days_valid: its whole validity.
        key_exposed: whether others than its owner may read the key.
    """

    problem: str = ""
    days_left: float | None = None
    days_valid: float | None = None
    key_exposed: bool = False


@dataclass(frozen=True, slots=True)
class ModelsView:
    """The networks on disk: how many, and those that are missing or altered."""

    count: int
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadView:
    """Whether the pipeline keeps up.

    Attributes:
        backlog_s: audio captured and not yet worked on.
        shed_share: share of analysis that was shed, lately.
    """

    backlog_s: float = 0.0
    shed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class CommissioningView:
    """The commissioning report and what is different from it now.

    Attributes:
        done: whether there is one.
        problem: why it cannot be trusted, or empty.
        drift: what has changed since, in words.
    """

    done: bool
    problem: str = ""
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a unit. A part that nobody looked at is None.

    Attributes:
        state: ``recording``, ``idle``, ``muted`` or ``fault``, as the daemon says; else empty.
        indicator: ``none``, ``starting``, ``ok`` or ``failed``: the light.
    """

    state: str = ""

    array: ArrayView | None = None
    clock: ClockView | None = None
    disk: DiskView | None = None
    buffer: BufferView | None = None
    board: BoardView | None = None
    relay: LinkView | None = None
    broker: LinkView | None = None
    identity: IdentityView | None = None
    models: ModelsView | None = None
    load: LoadView | None = None
    commissioning: CommissioningView | None = None
    indicator: str = ""
    versions: dict[str, str] = field(default_factory=dict)
