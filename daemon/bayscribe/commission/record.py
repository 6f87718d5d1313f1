"""The signed record of a commissioning, and what has changed since.

``results.json`` holds every figure; ``report.html`` and ``report.pdf`` show them;
``signature.json`` names the SHA-256 of each and is signed by the unit's key::

    signature = ECDSA P-256 / SHA-256 over DOMAIN + JSON of the digests, keys sorted
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.enrol.keystore import replace_file
from bayscribe.errors import IntegrityError
from bayscribe.health.snapshot import ArrayView, CommissioningView
from bayscribe.stream import FaultCode

DOMAIN = b"bayscribe-commissioning-v1\x00"
SIGNATURE = "signature.json"
RESULTS = "results.json"

MOST_GAIN_DB = 4.0
"""Change of one microphone against the others: more than ageing and temperature make."""

FLOOR_BELOW_DB = 12.0
"""A bay gets louder, never this much quieter than when it was kept quiet on purpose."""

LISTEN_S = 30.0


class Signature(Struct, frozen=True, kw_only=True):
    """What is beside the report.

    Attributes:
        device: the unit.
        files: SHA-256 of each file, hexadecimal.
        signature: base64.
    """

    device: str
    files: dict[str, str]
    signature: str


class Results(Struct, frozen=True, kw_only=True):
    """``results.json``.

    Attributes:
        device: the unit.
        site: of the hospital.
        bay: where it hangs.
        at: when, RFC 3339.
        software: version.
        operator: who did it.
        asset: number in the asset file.
        remarks: of the operator.
        profile: name of the array.
        geometry_sha256: of what the profile says about the microphones.
        sensitivity_dbfs_at_94db_spl: as calibrated.
        steps: every step with its state, words and figures.
    """

    device: str
    site: str
    bay: str
    at: str
    software: str
    operator: str = ""
    asset: str = ""
    remarks: str = ""
    profile: str
    geometry_sha256: str
    sensitivity_dbfs_at_94db_spl: float
    steps: dict[str, dict[str, Any]]

    def figure(self, step: str, name: str) -> Any:  # noqa: ANN401 - JSON has no narrower type
        """A figure of a step, or None."""
        return self.steps.get(step, {}).get("figures", {}).get(name)


def geometry_sha256(profile: ArrayProfile) -> str:
    """Digest of channels and places of the microphones."""
    places = [[m.channel, m.x, m.y, m.z] for m in profile.microphones]
    stated = json.dumps([profile.alsa_channels, profile.sample_rate, places])
    return hashlib.sha256(stated.encode()).hexdigest()


def _signed(device: str, files: dict[str, str]) -> bytes:
    return DOMAIN + json.dumps([device, files], sort_keys=True).encode()


def sign(folder: Path, device: str, names: list[str], key: ec.EllipticCurvePrivateKey) -> None:
    """Write the signature over files of a folder, last.

    Raises:
        StorageError: it cannot be written.
    """
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    value = key.sign(_signed(device, files), ec.ECDSA(hashes.SHA256()))
    made = Signature(device=device, files=files, signature=base64.b64encode(value).decode())
    replace_file(folder / SIGNATURE, msgspec.json.format(msgspec.json.encode(made)), 0o644)


def load(folder: Path, device: str, key: ec.EllipticCurvePublicKey) -> Results | None:
    """The record of a unit, if there is one.

    Raises:
        IntegrityError: it was altered, or is another unit's.
    """
    if not (folder / SIGNATURE).exists():
        return None
    try:
        stated = msgspec.json.decode((folder / SIGNATURE).read_bytes(), type=Signature)
        value = base64.b64decode(stated.signature, validate=True)
        key.verify(value, _signed(stated.device, stated.files), ec.ECDSA(hashes.SHA256()))
    except (OSError, msgspec.MsgspecError, binascii.Error, InvalidSignature):
        raise IntegrityError("the commissioning report is not signed by this unit") from None
    if stated.device != device:
        raise IntegrityError(f"the commissioning report is of {stated.device}")
    for name, digest in stated.files.items():
        path = folder / Path(name).name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise IntegrityError(f"{name} of the commissioning report was altered")
    try:
        return msgspec.json.decode((folder / RESULTS).read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError):
        raise IntegrityError("the commissioning results cannot be read") from None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a running unit is compared with.

    Attributes:
        profile: the array as configured now.
        results: of the commissioning; None if there was none.
        problem: why they cannot be trusted, or empty.
    """

    profile: ArrayProfile
    results: Results | None
    problem: str = ""

    @classmethod
    def of(
        cls, state: Path, device: str, key: ec.EllipticCurvePublicKey, profile: ArrayProfile
    ) -> "Baseline":
        """Read and verify the record under a state directory."""
        try:
            return cls(profile, load(state / "commissioning", device, key))
        except IntegrityError as error:
            return cls(profile, None, str(error))

    @property
    def calibrated(self) -> ArrayProfile:
        """The profile with the sensitivity that was measured here, if one was."""
        if self.results is None:
            return self.profile
        return msgspec.structs.replace(
            self.profile,
            sensitivity_dbfs_at_94db_spl=self.results.sensitivity_dbfs_at_94db_spl,
        )

    def look(self, array: ArrayView) -> CommissioningView:
        """What has changed since."""
        if self.problem:
            return CommissioningView(done=True, problem=self.problem)
        if self.results is None:
            return CommissioningView(done=False)
        return CommissioningView(done=True, drift=tuple(self._drift(self.results, array)))

    def _drift(self, results: Results, array: ArrayView) -> list[str]:
        found = []
        if geometry_sha256(self.profile) != results.geometry_sha256:
            found.append(f"geometry: commissioned as {results.profile} with other microphones")
        if any(fault.code is FaultCode.SWAPPED for fault in array.faults):
            found.append("order: the channels are not in the order of the commissioning")
        if not array.present or array.listened_s < LISTEN_S:
            return found
        found += self._gains(results, array)
        floor = results.figure("noise", "median_db_spl")
        if isinstance(floor, int | float) and array.floor_db_spl:
            now = sorted(array.floor_db_spl)[len(array.floor_db_spl) // 2]
            if now < floor - FLOOR_BELOW_DB:
                found.append(f"noise floor: {now:.0f} dB SPL, commissioned at {floor:.0f}")
        return found

    def _gains(self, results: Results, array: ArrayView) -> list[str]:
        before = results.figure("level", "spread_db")
        if not isinstance(before, list) or len(before) != len(array.spread_db):
            return []
        bad = {fault.microphone for fault in array.faults}
        return [
            f"gain: microphone {mic} by {now - float(then):+.1f} dB"
            for mic, (then, now) in enumerate(zip(before, array.spread_db, strict=True))
            if abs(now - float(then)) > MOST_GAIN_DB and mic not in bad
        ]
