"""How a fault of a channel is put into words, the same in every check."""

from bayscribe.health.snapshot import ChannelFault, Snapshot
from bayscribe.stream import FaultCode


def faults_of(snapshot: Snapshot, code: FaultCode) -> tuple[ChannelFault, ...]:
    """The faults of one kind that are raised now; none while the array is away."""
    array = snapshot.array
    if array is None or not array.present:
        return ()
    return tuple(fault for fault in array.faults if fault.code is code)


def microphone(fault: ChannelFault) -> str:
    """Which microphone, counted from 0 in profile order."""
    return "a microphone" if fault.microphone is None else f"microphone {fault.microphone}"


def detail(fault: ChannelFault) -> str:
    """The figure behind a fault, if there is one."""
    return f": {fault.detail}" if fault.detail else ""


def subject_of(fault: ChannelFault) -> str:
    """What tells two faults of one kind apart."""
    return "" if fault.microphone is None else str(fault.microphone)
