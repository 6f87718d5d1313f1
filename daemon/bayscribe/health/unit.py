"""Health of the unit that a configuration describes: what a command or the daemon wires."""

import time
from dataclasses import replace
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.profiles import ArrayProfile, load_profile
from bayscribe.commission.record import Baseline
from bayscribe.config import Config, beside, profile_path
from bayscribe.errors import LinkError
from bayscribe.health import report as written
from bayscribe.health.monitor import Monitor
from bayscribe.health.report import ReportEntry
from bayscribe.health.service import Places, UnitHealth
from bayscribe.health.snapshot import LinkView
from bayscribe.health.standalone import listen, look_around, reach, relay_peer
from bayscribe.telemetry.unit import broker_peer
from bayscribe.uplink.config import UplinkConfig
from bayscribe.wire.identity import device_name


def places_of(config: Config, file: Path) -> Places:
    """Where the files of a configured unit lie."""
    return Places(
        Path(config.unit.state_directory),
        Path(config.unit.runtime_directory),
        beside(file, config.uplink.certificate),
        beside(file, config.uplink.key),
        config.vault.reserve_mib,
    )


def uplink_of(config: Config, file: Path) -> UplinkConfig:
    """The ``[uplink]`` table with its paths made absolute."""
    stated = config.uplink
    return msgspec.structs.replace(
        stated,
        relay_ca=str(beside(file, stated.relay_ca)),
        certificate=str(beside(file, stated.certificate)),
        key=str(beside(file, stated.key)),
    )


def device_of(certificate: Path) -> str:
    """The name in a certificate, or empty while the unit has none."""
    try:
        return device_name(x509.load_pem_x509_certificate(certificate.read_bytes()))
    except (OSError, ValueError, LinkError):
        return ""


def baseline_of(config: Config, places: Places, profile: ArrayProfile) -> Baseline | None:
    """What the unit is compared with; None while it has no certificate."""
    try:
        certificate = x509.load_pem_x509_certificate(places.certificate.read_bytes())
        key = certificate.public_key()
        device = device_name(certificate)
    except (OSError, ValueError, LinkError):
        return None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    return Baseline.of(Path(config.unit.state_directory), device, key, profile)


def check_unit(config: Config, file: Path, *, reach_peers: bool = True) -> ReportEntry:
    """Check a unit whose daemon does not run: listens to the array for some seconds.

    Raises:
        ProfileError: the array's profile cannot be taken.
    """
    places = places_of(config, file)
    profile = load_profile(profile_path(config, file))
    baseline = baseline_of(config, places, profile)
    if baseline is not None:
        profile = baseline.calibrated
    array = listen(
        CaptureSource(
            profile,
            config.array.pcm,
            period_frames=config.array.period_frames,
            periods=config.array.periods,
        )
    )
    links: dict[str, LinkView] = {}
    if reach_peers:
        links["relay"] = reach(relay_peer(uplink_of(config, file)))
        broker = broker_peer(config, file)
        if broker is not None:
            links["broker"] = reach(broker)
    snapshot = look_around(profile, places, config.health, array, links)
    if baseline is not None:
        snapshot = replace(snapshot, commissioning=baseline.look(array))
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    report = Monitor().judge(now_s, snapshot)
    return written.entry(report, device_of(places.certificate), "command")


def unit_health(config: Config, file: Path, device: str, profile: ArrayProfile) -> UnitHealth:
    """The health of a daemon, compared with how the unit was commissioned."""
    places = places_of(config, file)
    baseline = baseline_of(config, places, profile)
    calibrated = profile if baseline is None else baseline.calibrated
    health = UnitHealth(device, calibrated, places, config.health)
    if baseline is not None:
        health.commissioning = baseline.look
    return health
