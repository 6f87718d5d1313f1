"""What a process has used: CPU seconds by stage, and memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


class CpuClock:
    """Adds up the CPU time of named stages that run in one thread.

    Thread time is what the stage itself used; threads that a stage starts are in the
    process's total, not here.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the CPU time of the enclosed work under ``name``."""
        begin = time.thread_time_ns()
        try:
            yield
        finally:
            spent = (time.thread_time_ns() - begin) / 1e9
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def cpu_seconds() -> float:
    """CPU seconds of the whole process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_rss_mib() -> float:
    """Largest resident set of the process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
