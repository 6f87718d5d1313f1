"""Kills processes at random instants while something makes progress, and looks after each.

Knows nothing of what it kills but command lines: the synthetic unit, the whole daemon,
the relay. ``python -m faults.kill_harness --help`` for use from a script.
"""

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bayscribe_relay import config
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.report import device_report

PATIENCE_S = 60.0


class Victim:
    """A process that is started, killed with SIGKILL and started again."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, to it and to what it started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        assert self._process is not None
        return self._process.wait(patience_s)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
        self._process.wait(PATIENCE_S)

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to kill and how often.

    Attributes:
        kill: names of the victims that die together.
        times: how often.
        wait_s: kills fall uniformly within this long after progress was seen.
    """

    kill: tuple[str, ...]
    times: int
    wait_s: float = 0.4


def run_plan(
    plan: Plan,
    victims: Sequence[Victim],
    progress: Callable[[], int],
    check: Callable[[], None],
    chance: random.Random,
) -> None:
    """Kill as planned; all victims run before and after.

    Args:
        plan: what and how often.
        victims: all processes.
        progress: a number that grows while data flows from end to end.
        check: raises AssertionError if something is lost; called while the killed are dead.
        chance: where the instants come from.
    """
    doomed = [victim for victim in victims if victim.name in plan.kill]
    for round_ in range(plan.times):
        before = progress()
        await_progress(victims, progress, before, f"kill {round_ + 1} of {plan.kill}")
        time.sleep(chance.uniform(0, plan.wait_s))
        for victim in doomed:
            assert victim.alive(), f"{victim.name} died by itself:\n{victim.last_words()}"
        for victim in chance.sample(doomed, len(doomed)):
            victim.kill()
        check()
        for victim in chance.sample(doomed, len(doomed)):
            victim.start()


def await_progress(
    victims: Sequence[Victim], progress: Callable[[], int], before: int, when: str
) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while progress() <= before:
        words = "\n".join(f"{v.name}: {v.last_words()}" for v in victims)
        assert time.monotonic() < deadline, f"no progress before {when}\n{words}"
        time.sleep(0.02)


def stored(url: str) -> int:
    """Records that a relay's store holds durably, over all devices."""
    store = Store(url)
    try:
        return sum(mark.seq for mark in store.marks())
    finally:
        store.close()


def verify_store(relay_config: Path) -> dict[str, int]:
    """Verify all that a relay has stored; each device's number of records.

    Raises:
        AssertionError: a hole, a repetition, or anything that does not verify.
    """
    settings = config.load(relay_config)
    opening = config.opening_keys(settings)
    store = Store(settings.store.url)
    try:
        records = {}
        for mark in store.marks():
            report = device_report(store, mark, opening)
            problems = [report.problems, [e.problems for e in report.encounters if e.problems]]
            assert report.verified, f"{mark.device}: {problems}"
            assert report.records == mark.seq, f"{mark.device}: holes or repetitions"
            records[mark.device] = report.records
        return records
    finally:
        store.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill unit, relay or both while they stream.")
    parser.add_argument("--unit", required=True, help="command line of the unit")
    parser.add_argument("--relay", required=True, help="command line of the relay")
    parser.add_argument("--relay-config", type=Path, required=True)
    parser.add_argument("--times", type=int, default=50, help="kills of each kind")
    parser.add_argument("--wait-s", type=float, default=3.0)
    parser.add_argument("--logs", type=Path, default=Path())
    options = parser.parse_args()
    unit = Victim("unit", shlex.split(options.unit), options.logs / "unit.log")
    relay = Victim("relay", shlex.split(options.relay), options.logs / "relay.log")
    url = config.load(options.relay_config).store.url
    for victim in (relay, unit):
        victim.start()
    try:
        for kill in (("unit",), ("relay",), ("unit", "relay")):
            plan = Plan(kill, options.times, options.wait_s)
            run_plan(plan, [unit, relay], lambda: stored(url), lambda: None, random.Random())
            print(f"{' and '.join(kill)} killed {options.times} times")  # noqa: T201 - the result
    finally:
        unit.stop()
        relay.stop()
    print(verify_store(options.relay_config))  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
