"""Chooses what goes wrong with each request: scripted first, then by probability."""

import random
import time

from emr.settings import MDM_FAULTS, READ_FAULTS, Fault, Operation, Scripted, Settings

_WRITES: frozenset[Operation] = frozenset({"transaction", "write"})
_READS: frozenset[Operation] = frozenset({"read", "search"})


class FaultPlan:
    """The faults to come.

    Args:
        settings: read afresh for each request, so that a change takes effect at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.script: list[Scripted] = []
        self.injected: dict[str, int] = {}
        self._random = random.Random(settings.seed)
        self._started = time.monotonic()
        self._allowance = 0.0
        self._refilled = time.monotonic()

    def choose(self, operation: Operation, key: str | None = None) -> Fault | None:
        """The fault that this request gets, if any."""
        fault = self._scripted(operation, key) or self._drawn(operation)
        if fault is not None:
            self.injected[fault] = self.injected.get(fault, 0) + 1
        return fault

    def delay(self, operation: Operation) -> float:
        """Seconds that the EMR takes for this request."""
        latency = self.settings.latency
        if operation in _WRITES:
            return self._random.uniform(*latency.write)
        if operation in _READS or operation == "query":
            return self._random.uniform(*latency.read)
        return self._random.uniform(*latency.mdm) if operation == "mdm" else 0.0

    def storming(self) -> bool:
        """Whether the EMR turns everybody away just now."""
        every, length = self.settings.storm_every_s, self.settings.storm_s
        if every <= 0 or length <= 0:
            return False
        return (time.monotonic() - self._started) % every > every - length

    def over_limit(self) -> bool:
        """Takes one request from the rate allowance; true when there was none left."""
        rate = self.settings.requests_per_second
        if rate <= 0:
            return False
        now = time.monotonic()
        self._allowance = min(rate, self._allowance + (now - self._refilled) * rate)
        self._refilled = now
        if self._allowance < 1.0:
            return True
        self._allowance -= 1.0
        return False

    def _scripted(self, operation: Operation, key: str | None) -> Fault | None:
        for entry in self.script:
            if entry.operation is not None and entry.operation != operation:
                continue
            if entry.operation is None and operation in ("metadata", "token"):
                continue
            if entry.key is not None and entry.key != key:
                continue
            if entry.skip > 0:
                entry.skip -= 1
                continue
            entry.times -= 1
            if entry.times <= 0:
                self.script.remove(entry)
            return entry.fault
        return None

    def _drawn(self, operation: Operation) -> Fault | None:
        if operation in ("metadata", "token"):
            return None
        if operation in ("mdm", "query"):
            mix = self.settings.mdm_fault_mix
            return self._pick({f: p for f, p in mix.items() if f in MDM_FAULTS})
        mix = self.settings.fault_mix
        if operation in _READS:
            factor = self.settings.read_fault_factor
            mix = {f: p * factor for f, p in mix.items() if f in READ_FAULTS}
        return self._pick(mix)

    def _pick(self, mix: dict[Fault, float]) -> Fault | None:
        draw = self._random.random()
        for fault, probability in mix.items():
            draw -= probability
            if draw < 0:
                return fault
        return None
