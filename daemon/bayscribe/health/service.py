"""The health of a running unit: a thread that looks once a second.

The daemon's own thread hands over blocks and facts and goes on; everything that takes
time (hashing the networks, reading certificates and mixers) happens here.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bayscribe import __version__
from bayscribe.audio.mixer import hold_mixer
from bayscribe.audio.profiles import ArrayProfile
from bayscribe.health import report as written
from bayscribe.health.acoustics import ArrayWatch
from bayscribe.health.checks import CHECKS
from bayscribe.health.collect import board, disk, identity, mixer, models
from bayscribe.health.collect.clock import ClockCollector
from bayscribe.health.config import HealthConfig
from bayscribe.health.facts import FactReader, Facts
from bayscribe.health.finding import Tools
from bayscribe.health.monitor import Monitor, Report
from bayscribe.health.report import ReportEntry
from bayscribe.health.snapshot import (
    ArrayView,
    CommissioningView,
    IdentityView,
    LinkView,
    ModelsView,
    Snapshot,
)
from bayscribe.stream import Block, Fault, Gap

TICK_S = 1.0
MODELS_EVERY_S, IDENTITY_EVERY_S, MIXER_EVERY_S = 3600.0, 300.0, 10.0
MEND_EVERY_S = 30.0
"""A problem that mending does not end is not hammered at."""

log = logging.getLogger("bayscribe.health")

Listener = Callable[[ReportEntry], None]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the unit's files lie.

    Attributes:
        state: the state directory.
        runtime: the runtime directory, where the report is written.
        certificate: PEM.
        key: PEM.
        reserve_mib: what the buffer leaves free.
    """

    state: Path
    runtime: Path
    certificate: Path
    key: Path
    reserve_mib: float


class _Every:
    """Keeps a slow look for a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = 0.0

    def is_due(self, now_s: float) -> bool:
        if now_s < self._due:
            return False
        self._due = now_s + self._seconds
        return True


class UnitHealth:
    """Looks at one unit for as long as it runs.

    Args:
        device: the unit's name.
        profile: its array.
        places: where its files lie.
        config: what the checks were told.
    """

    def __init__(
        self,
        device: str,
        profile: ArrayProfile,
        places: Places,
        config: HealthConfig,
    ) -> None:
        self._device = device
        self._profile = profile
        self._places = places
        self._config = config
        self._watch = ArrayWatch(profile)
        self._guard = threading.Lock()
        self._facts = Facts()
        self._has_facts = threading.Event()
        self._reader = FactReader()
        self._clock = ClockCollector(required=config.require_synchronised_clock)
        self._monitor = Monitor()
        self._models = ModelsView(0)
        self._identity = IdentityView()
        self._mixer: tuple[str, ...] = ()
        self._due = {
            name: _Every(seconds)
            for name, seconds in (
                ("models", MODELS_EVERY_S),
                ("identity", IDENTITY_EVERY_S),
                ("mixer", MIXER_EVERY_S),
                ("mend", MEND_EVERY_S),
            )
        }
        self._tools = Tools(self._hold_mixer)
        self._listeners: list[Listener] = []
        self.broker: Callable[[], LinkView] | None = None
        """How the connection to the broker stands; None without one."""
        self.commissioning: Callable[[ArrayView], CommissioningView] | None = None
        """What has changed since the unit was commissioned."""
        self.latest: ReportEntry | None = None
        """The newest report; read by other threads, replaced as a whole."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    # -- the daemon's thread

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._has_facts.set()
        if self._thread.is_alive():
            self._thread.join()

    def tell(self, listener: Listener) -> None:
        """Call ``listener`` with every report, in the health thread; before :meth:`start`."""
        self._listeners.append(listener)

    def push(self, item: Block | Gap | Fault) -> None:
        """Take what capture gave."""
        with self._guard:
            if isinstance(item, Block):
                self._watch.push(item)
            elif isinstance(item, Gap):
                self._watch.gap(item)

    def update(self, facts: Facts) -> None:
        """Take what the daemon knows of itself now."""
        self._facts = facts
        self._has_facts.set()

    # -- the health thread

    def _run(self) -> None:
        self._has_facts.wait()
        while not self._stop.is_set():
            try:
                self._look()
            except Exception:
                # A collector that trips over an odd system must not end the others' work.
                log.exception("health check failed")
            self._stop.wait(TICK_S)

    def _look(self) -> None:
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        snapshot = self._snapshot(now_s)
        report = self._monitor.step(now_s, snapshot)
        self._mend(now_s, report)
        latest = written.entry(report, self._device, "daemon", self._monitor.judge(now_s, snapshot))
        self.latest = latest
        try:
            written.write(self._places.runtime, latest)
        except OSError as error:
            log.warning("health report: %s", error.strerror)
        for listener in self._listeners:
            listener(latest)

    def _snapshot(self, now_s: float) -> Snapshot:
        facts, places = self._facts, self._places
        with self._guard:
            acoustics = replace(self._watch.figures(), drift_ppm=self._watch.drift_ppm)
        self._look_slowly(now_s)
        array = replace(self._reader.array(now_s, facts, acoustics), mixer=self._mixer)
        return Snapshot(
            state=facts.text("state"),
            indicator=facts.text("indicator"),
            array=array,
            clock=self._clock.look(),
            disk=disk.look(
                places.state,
                least_free_mib=places.reserve_mib,
                written_per_day=int(facts.number("written_per_day")),
                budget_gib=self._config.write_budget_gib_per_day,
            ),
            buffer=self._reader.buffer(facts),
            board=board.look(),
            relay=self._reader.relay(now_s, facts),
            broker=self.broker() if self.broker is not None else None,
            identity=self._identity,
            models=self._models,
            load=self._reader.load(now_s, facts),
            commissioning=self.commissioning(array) if self.commissioning is not None else None,
            versions={"bayscribe": __version__, "array": self._profile.name},
        )

    def _look_slowly(self, now_s: float) -> None:
        if self._due["models"].is_due(now_s):
            self._models = models.look()
        if self._due["identity"].is_due(now_s):
            self._identity = identity.look(self._places.certificate, self._places.key)
        if self._due["mixer"].is_due(now_s):
            self._mixer = mixer.moved(self._profile.board)

    def _mend(self, now_s: float, report: Report) -> None:
        """Let checks that can do so mend what they have raised."""
        bad = {one.check for one in report.problems}
        menders = [(check.NAME, getattr(check, "mend", None)) for check in CHECKS]
        able = [(name, mend) for name, mend in menders if mend is not None and name in bad]
        if not able or not self._due["mend"].is_due(now_s):
            return
        for name, mend in able:
            log.info("mending", extra={"check": name})
            mend(self._tools)

    def _hold_mixer(self) -> list[str]:
        return [control for control, _ in hold_mixer(self._profile.board)]
