"""What the steps need of the unit: its configuration, its array, its keys, its site."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.assembly import Assembly, read_voices
from bayscribe.audio.profiles import ArrayProfile, load_profile
from bayscribe.commission.outcome import Outcome
from bayscribe.config import Config, beside, profile_path
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.enrol import order as orders
from bayscribe.enrol.client import enrol
from bayscribe.enrol.keystore import replace_file
from bayscribe.errors import BayscribeError
from bayscribe.health.collect import identity
from bayscribe.health.collect.clock import ClockCollector
from bayscribe.health.standalone import reach, relay_peer
from bayscribe.health.unit import device_of, places_of, uplink_of
from bayscribe.pipeline import Pipeline
from bayscribe.telemetry.unit import broker_peer
from bayscribe.voices.store import VoiceStore


@dataclass(slots=True)
class Bench:
    """One unit on the bench or on the wall.

    Attributes:
        config: what it was told.
        file: where that stood.
        profile: its array.
        sensitivity: dBFS at 94 dB SPL, once it was calibrated.
    """

    config: Config
    file: Path
    profile: ArrayProfile
    sensitivity: float | None = None

    @classmethod
    def of(cls, config: Config, file: Path) -> "Bench":
        """The unit of a configuration.

        Raises:
            ProfileError: its array's profile cannot be taken.
        """
        return cls(config, file, load_profile(profile_path(config, file)))

    @property
    def calibrated(self) -> ArrayProfile:
        """The profile with the sensitivity that was measured."""
        if self.sensitivity is None:
            return self.profile
        return msgspec.structs.replace(self.profile, sensitivity_dbfs_at_94db_spl=self.sensitivity)

    @property
    def device(self) -> str:
        """The unit's name; empty until it is enrolled."""
        return device_of(places_of(self.config, self.file).certificate)

    @property
    def folder(self) -> Path:
        """Where the report is kept."""
        return Path(self.config.unit.state_directory) / "commissioning"

    @property
    def known_labels(self) -> tuple[str, ...]:
        """Labels of the voices that the daemon would know: configured, then enrolled here."""
        return (*self._configured_labels(), *(voice.label for voice in self._enrolled()))

    def pipeline(self) -> Pipeline:
        """The whole line with the voices of the configuration and of the unit's store, new.

        Raises:
            BadUse: a voice or a network cannot be used.
        """
        named = [(v.label, beside(self.file, v.recording)) for v in self.config.voices]
        assembly = Assembly(self.profile.geometry, read_voices(named), self.config.primary)
        assembly.know((*assembly.voiceprints, *self._enrolled()))
        return assembly.pipeline()

    def _configured_labels(self) -> list[str]:
        return [voice.label for voice in self.config.voices]

    def _enrolled(self) -> list[Voiceprint]:
        """Of the store; as in the daemon, a voice of the configuration has precedence."""
        try:
            key = self.signing_key()
        except BayscribeError:
            return []  # nothing sealed opens without it; the step of the identity says so
        store = VoiceStore(Path(self.config.unit.state_directory) / "voices", key)
        taken = self._configured_labels()
        return [one.print for one in store.load() if one.print.label not in taken]

    # -- identity

    def identify(self, order: str) -> Outcome:
        """The unit's identity: the one it has, or a new one for a one-time token."""
        places = places_of(self.config, self.file)
        if not places.certificate.exists() and order:
            try:
                self._enrol(Path(order), places.certificate, places.key)
            except BayscribeError as error:
                return Outcome(False, str(error), advice=error.what_to_do)
        found = identity.look(places.certificate, places.key)
        if found.problem or found.key_exposed or (found.days_left or 0) <= 0:
            words = found.problem or (
                "others may read the key" if found.key_exposed else "the certificate has ended"
            )
            advice = "Make an enrol.toml with `bayscribe-relay pki token` and name it here."
            return Outcome(False, words, advice=advice)
        words = f"{self.device}, certified for {found.days_left:.0f} more days"
        return Outcome(True, words, {"device": self.device, "days_left": found.days_left})

    def _enrol(self, path: Path, certificate: Path, key_path: Path) -> None:
        order = orders.load(path)
        key = _key(key_path)
        granted = enrol(order.enrolment, key)
        config = self.config
        replace_file(beside(self.file, config.uplink.relay_ca), granted.ca.encode(), 0o644)
        replace_file(beside(self.file, config.seal.relay_key), granted.seal_key.encode(), 0o644)
        replace_file(certificate, granted.certificate.encode(), 0o644)

    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The unit's key.

        Raises:
            BayscribeError: it cannot be read.
        """
        path = places_of(self.config, self.file).key
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BayscribeError(f"{path} is not a usable key", "enrol the unit", code="key")
        return key

    # -- site

    def network(self) -> Outcome:
        """Clock, relay and broker."""
        clock = ClockCollector(required=self.config.health.require_synchronised_clock).look()
        links = {"relay": reach(relay_peer(uplink_of(self.config, self.file)))}
        broker = broker_peer(self.config, self.file)
        if broker is not None:
            links["broker"] = reach(broker)
        away = [f"{name}: {link.problem}" for name, link in links.items() if not link.up]
        if clock.required and not clock.synchronised:
            away.append("the clock is not synchronised")
        figures = {
            "relay": urlsplit(self.config.uplink.url).netloc,
            "relay_reached": links["relay"].up,
            "broker_reached": links["broker"].up if "broker" in links else None,
            "clock_synchronised": clock.synchronised,
        }
        if away:
            advice = "Check the wall port, the firewall and the certificates; then try again."
            return Outcome(False, "; ".join(away), figures, advice)
        synchronised = "" if clock.synchronised else ", clock not synchronised"
        return Outcome(True, f"{' and '.join(links)} reached{synchronised}", figures)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The unit's key; made here, if it has none."""
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, pem, 0o600)
    return key
