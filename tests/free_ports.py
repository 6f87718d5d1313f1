"""TCP ports that nobody uses just now, for programs that must be told one."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """Different ports; all are held until the last is found."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def free_port() -> int:
    """One port."""
    return free_ports(1)[0]
