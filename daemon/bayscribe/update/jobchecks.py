"""What a new system must do before it is believed: this unit's own job, and nothing else.

Microphones deliver, the networks are the ones that the release was made with, a segment is
sealed, and the unit's own health report agrees. No check looks at the network: a unit whose
relay is away keeps its update.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe import __version__, resources, settings
from bayscribe.diarize.interpreter import Manifest
from bayscribe.errors import BayscribeError
from bayscribe.health import report
from bayscribe.health.finding import Severity
from bayscribe.segments.sealer import ChainWriter, Moment, Origin
from bayscribe.stream import CutSegment
from bayscribe.units import SampleIndex
from bayscribe.update.machine import Machine
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.inspect import Verdict, inspect, leave_certificate
from bayscribe.vault.vault import Vault
from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import SealingKey

REHEARSAL_SAMPLES = 16_000
"""One second of test tone: no sound of the room leaves an encounter, not even for a check."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check's outcome.

    Attributes:
        name: ``microphones``, ``models``, ``sealing`` or ``health``.
        passed: whether it did.
        found: what was found, for people.
    """

    name: str
    passed: bool
    found: str


@dataclass
class JobChecks:
    """The checks, which are asked again until they pass or patience ends.

    Args:
        machine: the unit.
        key: file of the device's private key, as services get it.
    """

    machine: Machine
    key: Path
    _frames: int | None = field(default=None, init=False)
    _records: int | None = field(default=None, init=False)

    def run(self) -> list[Check]:
        """Ask all of them once."""
        state = self._state()
        return [self._microphones(state), self._models(), self._sealing(state), self._health()]

    def _state(self) -> Mapping[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.machine.runtime / "state.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def _microphones(self, state: Mapping[str, Any]) -> Check:
        """Captured frames have grown since the last look, and no channel is at fault."""
        frames = state.get("frames")
        before, self._frames = self._frames, frames if isinstance(frames, int) else None
        if not state:
            return Check("microphones", False, "the appliance does not run")
        if not state.get("plugged"):
            return Check("microphones", False, "no array")
        if state.get("faults") or state.get("problem"):
            said = f"{state.get('faults', '')} {state.get('problem', '')}".strip()
            return Check("microphones", False, said)
        if before is None or self._frames is None or self._frames <= before:
            return Check("microphones", False, "no new frames yet")
        return Check("microphones", True, f"{self._frames} frames")

    def _models(self) -> Check:
        """Every file of the manifest is there and is the one that it names."""
        folder = resources.models()
        try:
            manifest = settings.load(folder / "manifest.toml", Manifest)
            for network in manifest.networks.values():
                for file in network.files:
                    digest = hashlib.sha256((folder / file.file).read_bytes()).hexdigest()
                    if digest != file.sha256:
                        return Check("models", False, f"{file.file} is another")
        except (BayscribeError, OSError) as error:
            return Check("models", False, str(error))
        return Check("models", True, f"{len(manifest.networks)} networks")

    def _sealing(self, state: Mapping[str, Any]) -> Check:
        """The daemon has made a record since the first look, or a rehearsal passes."""
        records = state.get("records", 0)
        if self._records is None:
            self._records = records
        if records > self._records:
            return Check("sealing", True, f"record {records}")
        if state.get("state") == "recording":
            return Check("sealing", False, "no segment yet")
        try:
            return Check("sealing", True, self._rehearse())
        except (BayscribeError, OSError, ValueError, TypeError) as error:
            return Check("sealing", False, str(error) or type(error).__name__)

    def _health(self) -> Check:
        """The unit's own health report finds nothing that keeps it from its own work."""
        try:
            found = report.read(self.machine.runtime)
        except (OSError, msgspec.MsgspecError) as error:
            return Check("health", False, str(error))
        if found is None or report.age_s(found) > report.STALE_S:
            return Check("health", False, "no report yet")
        if not found.own_work_ok:
            own = {check.name for check in found.checks if check.own}
            alarms = (one for one in found.problems if one.severity == Severity.ALARM.word)
            said = [one.code for one in alarms if one.check in own]
            return Check("health", False, " ".join(said))
        return Check("health", True, found.severity)

    def _rehearse(self) -> str:
        """Cut, sign, seal, write and verify one segment of a tone, in a buffer of its own."""
        unit = self.machine.unit
        pem = (unit / "device.crt").read_bytes()
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the unit's key is not on a curve")
        relay = SealingKey.from_text((unit / "relay-seal.pub").read_text(encoding="ascii"))
        device = device_name(x509.load_pem_x509_certificate(pem))
        folder = self.machine.state / "rehearsal"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            vault = Vault.open(folder, device, VaultConfig(quota_mib=8, reserve_mib=8))
            origin = Origin(device, secrets.token_hex(16), "rehearsal", __version__, bytes(32))
            writer = ChainWriter(origin, key, relay, vault.head)
            when = Moment(time.monotonic_ns(), time.time_ns())
            vault.append(writer.open_encounter(os.urandom(16).hex(), "rehearsal", when))
            turns = np.arange(REHEARSAL_SAMPLES) * (2 * np.pi * 440 / 16_000)
            tone = np.round(8_000 * np.sin(turns)).astype(np.int16)
            vault.append(writer.segment(CutSegment(SampleIndex(0), tone), when))
            vault.append(writer.close_encounter("stop", when))
            leave_certificate(folder, pem)
            vault.close()
            verdict = inspect(folder, unit / "device.crt").verdict
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if verdict is Verdict.TAMPERED:
            raise BayscribeError("the rehearsed segment does not verify")
        return "rehearsed"
