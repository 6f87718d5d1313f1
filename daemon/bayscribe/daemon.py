"""The appliance daemon: the shell that wires capture, line, buffer and uplink.

Capture runs in its own thread before anything here is loaded; the uplink, health, telemetry,
the room's controls and playback have theirs; this one runs the line. Signals, commands and
prompts only set what it looks at next. What is decided anywhere is decided in a stage.
"""

import logging
import queue
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe import __version__
from bayscribe.assembly import Assembly, load_clustering, read_voices
from bayscribe.audio.channel_check import ChannelCheck
from bayscribe.config import Config, beside
from bayscribe.control.room import RoomControl
from bayscribe.errors import AudioFormatError, BayscribeError, ConfigError
from bayscribe.health.facts import Facts
from bayscribe.health.relay_report import RelayReport
from bayscribe.health.snapshot import ChannelFault
from bayscribe.health.unit import unit_health, uplink_of
from bayscribe.identity import unit_identity
from bayscribe.listening import Listening
from bayscribe.pipeline import Counters, Output, Pipeline
from bayscribe.prompts.bay import BayPrompts
from bayscribe.recorder import Recorder
from bayscribe.segments.sealer import ChainWriter, Moment, Origin
from bayscribe.shedding import Shedding
from bayscribe.state_values import state_values
from bayscribe.stream import Block, Fault, FaultCode, Gap
from bayscribe.system.notify import Progress, ProgressWatchdog, notify
from bayscribe.system.statefile import write_state
from bayscribe.telemetry.actions import Hooks
from bayscribe.telemetry.client import Telemetry
from bayscribe.telemetry.messages import StatusFacts
from bayscribe.telemetry.unit import make_telemetry
from bayscribe.timestamps import CaptureClock
from bayscribe.update import fetch
from bayscribe.uplink.core import Alarm, Identity, State
from bayscribe.uplink.link import Callbacks, Uplink
from bayscribe.vault.inspect import leave_certificate
from bayscribe.vault.vault import Vault
from bayscribe.voices.desk import VoiceDesk
from bayscribe.voices.store import VoiceStore
from bayscribe.wire.chain import models_digest
from bayscribe.wire.identity import device_name
from bayscribe.wire.messages import Command, Prompt, PromptOutcome, PromptWithdrawn
from bayscribe.wire.seal import SealingKey

READ_TIMEOUT_S = 0.25
READ_AT_ONCE_S = 1.0
"""Seconds of audio after which everything else gets its turn."""
HOUSEKEEPING_S = 0.5
DRAIN_S = 5.0
"""Seconds that an orderly stop waits for the relay to acknowledge what it still gets."""

log = logging.getLogger("bayscribe.daemon")


class Daemon:
    """One unit, from its configuration.

    Args:
        config: what the unit was told.
        file: where that stood; paths in it are relative to it.
        listening: the unit's array.

    Raises:
        BadUse: something in the configuration cannot be used.
        StorageError: the buffer cannot be opened.
    """

    def __init__(self, config: Config, file: Path, listening: Listening) -> None:
        self._config = config
        self._listening = listening
        self._source = listening.source
        self._profile = self._source.profile
        certificate, key = unit_identity(config, file)
        self._device = device_name(certificate)
        voices = read_voices([(v.label, beside(file, v.recording)) for v in config.voices])
        self._assembly = Assembly(self._profile.geometry, voices, config.primary)
        buffer = Path(config.unit.state_directory) / "buffer"
        self._vault = Vault.open(buffer, self._device, config.vault)
        leave_certificate(buffer, certificate.public_bytes(serialization.Encoding.PEM))
        self._boot = secrets.token_hex(16)
        self._uplink = self._make_uplink(file)
        self._prompts = BayPrompts(
            config.prompts,
            Path(config.unit.state_directory) / "prompts",
            self._uplink.send_outcome,
            self._assembly.activity(),
        )
        self._recorder = Recorder(self._make_writer(key, file), self._vault, self._uplink.wake)
        self._health = unit_health(config, file, self._device, self._profile)
        self._telemetry = self._make_telemetry(file)
        self._voices = VoiceDesk(
            VoiceStore(Path(config.unit.state_directory) / "voices", key),
            self._assembly.voiceprints,
            self._assembly.pipeline,
        )
        self._room = RoomControl(config, self._source, self._voices.handlers())
        self._clock = CaptureClock()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._watchdog = ProgressWatchdog()
        self._pipeline: Pipeline | None = None
        self._idle_check = ChannelCheck(self._profile.geometry)
        self._counters = Counters()
        self._turns = 0
        self._attempts = 0
        self._last_problem: BayscribeError | None = None
        self._alarm = ""
        self._shedding = Shedding()
        self._housekept = 0.0

    def run(self) -> int:
        """Work until told to stop; exit status 0 after an orderly stop."""
        try:
            self._start()
            while not self._listening.stopping.is_set():
                for item in self._source.read(READ_TIMEOUT_S, READ_AT_ONCE_S):
                    self._take(item)
                self._obey()
                self._prompts.step(
                    recording=self._pipeline is not None, muted=self._source.is_muted
                )
                self._housekeep()
            self._stop()
        finally:
            self._room.stop()
            self._health.stop()
            if self._telemetry is not None:
                self._telemetry.stop()
            self._uplink.stop()
            self._vault.close()
        return 0

    # -- start and stop

    def _start(self) -> None:
        since = self._clock.at(self._listening.since)
        self._recorder.recover(since)
        self._room.start()
        if self._config.encounter.mode == "always":
            self._open("always", since)
        else:
            self._forget_before_commands()
        self._uplink.start()
        self._prompts.start()
        if self._telemetry is not None:
            self._telemetry.start()
        self._health.start()
        self._write_state()
        notify("READY=1")
        log.info("ready", extra={"device": self._device, "array": self._profile.name})
        load_clustering()

    def _forget_before_commands(self) -> None:
        """What was heard before anybody could open an encounter is in none."""
        for item in self._source.read(0.0):
            self._take(item)

    def _stop(self) -> None:
        """Close the open segment and the encounter, and give the relay a moment."""
        notify("STOPPING=1")
        self._prompts.stop()
        self._source.stop()
        for item in self._source.read(0.0):
            self._take(item)
        self._close("stop")
        self._recorder.retry()
        self._uplink.wake()
        end = time.monotonic() + DRAIN_S
        while self._vault.stats().pending and time.monotonic() < end:
            if self._uplink.status().state != "streaming":
                break
            time.sleep(0.02)
        self._write_state()
        log.info("stopped", extra={"unacknowledged": self._vault.stats().pending})

    # -- the stream

    def _take(self, item: Block | Gap | Fault) -> None:
        self._health.push(item)
        if isinstance(item, Block):
            self._clock.note(item)
            if self._pipeline is None:
                self._idle_check.push(item)
                self._voices.push(item)
            else:
                shed = self._shedding.due(self._source.backlog_s)
                ducked = self._prompts.ducks(item)
                output = self._pipeline.push(item, shed=shed, ducked=ducked)
                self._prompts.hear(item, output, analysed=not (shed or ducked))
                self._give(output)
        elif isinstance(item, Gap):
            self._prompts.gap(item)
            if self._pipeline is not None:
                self._pipeline.gap(item)
        elif self._pipeline is not None:
            self._pipeline.fault(item)

    def _give(self, output: Output) -> None:
        self._turns += len(output.turns)
        for segment in output.segments:
            self._recorder.segment(segment, self._clock.moment(segment.first))

    # -- encounters and commands

    def _open(self, reason: str, when: Moment | None = None) -> None:
        if self._pipeline is not None:
            return
        self._voices.recording(True)
        self._assembly.know(self._voices.voiceprints)
        self._pipeline = self._assembly.pipeline()
        self._recorder.open(reason, when or self._clock.now())
        log.info("recording", extra={"reason": reason})

    def _close(self, reason: str) -> None:
        if self._pipeline is None:
            return
        self._give(self._pipeline.flush())
        self._add_counters(self._pipeline.counters)
        self._pipeline = None
        self._voices.recording(False)
        self._idle_check = ChannelCheck(self._profile.geometry)
        self._recorder.close(reason, self._clock.now())
        log.info("recording ended", extra={"reason": reason})

    def _add_counters(self, done: Counters) -> None:
        self._counters.frames += done.frames
        self._counters.quanta += done.quanta
        self._counters.shed_quanta += done.shed_quanta
        self._counters.jumps += done.jumps

    def _obey(self) -> None:
        while not self._commands.empty():
            command = self._commands.get()
            actions: dict[str, Callable[[], None]] = {
                "open_encounter": lambda: self._open("adt"),
                "close_encounter": lambda: self._close("adt"),
                "stage_update": partial(self._ask_for_update, command.arguments),
            }
            action = actions.get(command.name)
            if action is None:
                log.warning("unknown command", extra={"command": command.name})
                continue
            log.info("command", extra={"command": command.name, "id": command.id})
            action()

    def _ask_for_update(self, arguments: dict[str, str]) -> None:
        """Leave a request; a service of its own fetches, checks and installs."""
        try:
            request = fetch.from_arguments(arguments)
            fetch.leave_request(Path(self._config.unit.runtime_directory), request)
        except BayscribeError as error:
            log.warning("no update: %s", error.line())

    # -- what others may know

    def _housekeep(self) -> None:
        now = time.monotonic()
        if now - self._housekept < HOUSEKEEPING_S:
            return
        self._housekept = now
        self._recorder.retry()
        problem = self._source.problem
        if problem is not None and problem is not self._last_problem:
            self._attempts += 1
        self._last_problem = problem
        counters = self._source.counters
        listening = self._source.is_plugged and not self._source.is_muted
        self._watchdog.observe(
            Progress(
                captured=counters.frames + counters.muted_frames + self._attempts,
                buffered=self._recorder.samples + self._recorder.lost_samples,
                recording=self._recorder.recording and listening,
            )
        )
        self._write_state()

    def _state(self) -> str:
        if self._source.is_muted:
            return "muted"  # before any fault: whoever muted the room must see it
        if not self._source.is_plugged or self._recorder.problem is not None or self._faults():
            return "fault"
        return "recording" if self._recorder.recording else "idle"

    def _found(self) -> tuple[tuple[FaultCode, int | None], ...]:
        return self._pipeline.faults if self._pipeline is not None else self._idle_check.faults

    def _faults(self) -> str:
        found = self._found()
        names = (code.value if mic is None else f"{code.value}:{mic}" for code, mic in found)
        return " ".join(names)

    def _write_state(self) -> None:
        line = self._pipeline.counters if self._pipeline is not None else Counters()
        values = state_values(
            self._source,
            self._recorder,
            self._vault,
            self._uplink.status(),
            state=self._state(),
            device=self._device,
            faults=self._faults(),
            relay_alarm=self._alarm,
            turns=self._turns,
            quanta=self._counters.quanta + line.quanta,
            shed_quanta=self._counters.shed_quanta + line.shed_quanta,
            indicator=self._room.light,
            voices=len(self._voices.voiceprints),
        )
        online = self._uplink.status().state in (State.STREAMING, State.HELD)
        self._room.show(str(values["state"]), online=online)
        array, disk = self._source.problem, self._recorder.problem
        self._health.update(
            Facts(
                values=values,
                faults=tuple(ChannelFault(code, mic) for code, mic in self._found()),
                silent_for_s=self._source.silent_for_s,
                opens=self._source.counters.opens,
                array_problem="" if array is None else str(array),
                format_refused=isinstance(array, AudioFormatError),
                buffer_problem="" if disk is None else str(disk),
            )
        )
        try:
            folder = Path(self._config.unit.runtime_directory)
            folder.mkdir(parents=True, exist_ok=True)
            write_state(folder / "state.json", values)
        except OSError as error:
            log.warning("state file: %s", error.strerror)

    # -- parts

    def _make_telemetry(self, file: Path) -> Telemetry | None:
        facts = StatusFacts(__version__, self._profile.name, self._assembly.models, self._boot)
        hooks = Hooks(
            obey=self._on_message,
            is_muted=lambda: self._source.is_muted,
            report=lambda: self._health.latest,
            renewed=self._uplink.renew,
            runtime=Path(self._config.unit.runtime_directory),
        )
        self._health.tell(RelayReport(self._uplink.send_health, self._config.health.report_s))
        telemetry = make_telemetry(self._config, file, self._device, facts, hooks)
        if telemetry is not None:
            self._health.tell(telemetry.report)
            self._health.broker = telemetry.link
        return telemetry

    def _make_uplink(self, file: Path) -> Uplink:
        config = uplink_of(self._config, file)
        identity = Identity(self._device, self._boot, __version__, self._assembly.models)
        callbacks = Callbacks(
            on_message=self._on_message,
            on_alarm=self._on_alarm,
            on_reported=self._on_reported,
        )
        return Uplink(config, identity, self._vault, callbacks)

    def _make_writer(self, key: ec.EllipticCurvePrivateKey, file: Path) -> ChainWriter:
        path = beside(file, self._config.seal.relay_key)
        try:
            relay_key = SealingKey.from_text(path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"seal.relay_key: {path} cannot be read") from None
        origin = Origin(
            self._device,
            self._boot,
            self._config.unit.bay,
            f"bayscribe-{__version__}",
            models_digest(self._assembly.models),
        )
        return ChainWriter(origin, key, relay_key, self._vault.head, codec=self._config.seal.codec)

    def _on_message(self, message: Prompt | PromptWithdrawn | Command) -> None:
        """In the uplink's thread."""
        if isinstance(message, Command) and message.name in ("mute", "unmute"):
            self._room.switch.set(message.name == "mute", "command")
        elif isinstance(message, Command):
            self._commands.put(message)
        else:
            self._prompts.post(message)

    def _on_reported(self, outcome: PromptOutcome) -> None:
        """In the uplink's thread."""
        self._prompts.told(outcome)

    def _on_alarm(self, alarm: Alarm | None) -> None:
        """In the uplink's thread."""
        self._alarm = "" if alarm is None else alarm.code.value
