"""A unit's telemetry with the daemon's part played by the test."""

from dataclasses import replace
from pathlib import Path

from bayscribe.health import report as written
from bayscribe.health.monitor import Monitor
from bayscribe.health.report import ReportEntry
from bayscribe.health.snapshot import ArrayView, BufferView, LinkView, Snapshot
from bayscribe.telemetry.actions import Actions, Hooks, LogTail
from bayscribe.telemetry.client import Telemetry
from bayscribe.telemetry.config import BrokerFiles, TelemetryConfig
from bayscribe.telemetry.gatekeeper import Gatekeeper
from bayscribe.telemetry.messages import StatusFacts
from bayscribe.wire.fleet import Topic
from bayscribe.wire.messages import Command

GOOD = Snapshot(
    state="recording",
    array=ArrayView(present=True, levels_db_spl=(61.5, 62.0), floor_db_spl=(40.0, 41.0)),
    buffer=BufferView(pending=2, pending_mib=0.3),
    relay=LinkView(up=True),
)
LOST = replace(GOOD, array=replace(GOOD.array or ArrayView(True), overruns=1, gap_frames=100))


class UnitRig:
    """One unit on a broker, without array and daemon."""

    def __init__(self, folder: Path, port: int, files: BrokerFiles, device: str = "bay-07") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.device = device
        self.files = files
        self.monitor = Monitor()
        self.clock_s = 0.0
        self.muted = False
        self.obeys = True
        self.obeyed: list[Command] = []
        self.renewed = 0
        self.latest: ReportEntry | None = None
        self.config = TelemetryConfig(
            host="localhost",
            port=port,
            queue=8,
            keepalive_s=5,
            retry_first_s=0.1,
            retry_most_s=0.3,
        )
        self.telemetry = self._make()

    def _make(self) -> Telemetry:
        hooks = Hooks(
            obey=self._obey,
            is_muted=lambda: self.muted,
            report=lambda: self.latest,
            renewed=self._renew,
            runtime=self.folder,
        )
        return Telemetry(
            self.config,
            self.files,
            Topic("demo", self.device, self.device, "status"),
            StatusFacts("0.1.0", "circle-4-32mm", {"speech": b"\x01" * 32}, "ab" * 16),
            Gatekeeper(self.device, self.files.command_key, self.folder),
            Actions(hooks, self.files, LogTail()),
        )

    def restart(self) -> None:
        self.telemetry.stop()
        self.telemetry = self._make()
        self.telemetry.start()

    def _obey(self, command: Command) -> None:
        self.obeyed.append(command)
        if self.obeys:
            self.muted = command.name == "mute"

    def _renew(self) -> None:
        self.renewed += 1

    def look(self, snapshot: Snapshot) -> None:
        """What the health thread does, a second later each time."""
        self.clock_s += 1.0
        report = self.monitor.step(self.clock_s, snapshot)
        self.latest = written.entry(report, self.device, "daemon")
        self.telemetry.report(self.latest)
