"""Both services under a real systemd: notify, watchdog, sandbox, ordered stop.

The container's root is this machine's under an overlay, with the checkout bound at
/opt/bayscribe; Debian's own python3 runs the product from there, so that the units'
sandbox (no home directories, dynamic users) holds as on a unit.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayscribe.audio.profiles import load_profile
from system.system_container import REPOSITORY, Container, booted

pytestmark = [pytest.mark.root, pytest.mark.slow]

SCENE = REPOSITORY / "tests" / "scenes" / "excerpt-4mic-70db" / "mics.flac"
PROFILE = "circle-4-32mm"
HOUSE = "/opt/bayscribe"
UNITS = ("bayscribe-relay.service", "bayscribe-gateway.service", "bayscribe.service")
LOOSEST = 1.5
"""Exposure by ``systemd-analyze security`` that no unit may exceed."""

GATEWAY_TOML = """\
[listen]
host = "127.0.0.1"
port = 9443
[tls]
certificate = "gateway.crt"
key = "gateway.key"
relay_ca = "relay-ca.crt"
[journal]
url = "sqlite:////var/lib/bayscribe-gateway/gateway.db"
[sites.demo]
fhir_base = "http://127.0.0.1:9/fhir"
auth = "bearer"
bearer_token_file = "sites_token"
"""

RELAY_TOML = """\
[listen]
host = "127.0.0.1"
port = 8443
[tls]
certificate = "server.crt"
key = "server.key"
device_ca = "device-ca.crt"
crl = "device-ca.crl"
[store]
url = "sqlite:////var/lib/bayscribe-relay/relay.db"
[seal]
keys = ["seal.key"]
"""

UNIT_TOML = """\
[unit]
site = "test"
bay = "bay-07"
[array]
profile = "circle-4-32mm"
pcm = "bay07"
[encounter]
mode = "always"
[uplink]
url = "wss://localhost:8443"
relay_ca = "relay-ca.crt"
certificate = "device.crt"
key = "device.key"
retry_most_s = 1.0
[seal]
relay_key = "relay-seal.pub"
"""

DROP_IN = """\
[Service]
Environment=ALSA_CONFIG_PATH=/run/mic/asound.conf BAYSCRIBE_RECORDED_MIC=/run/mic
ReadWritePaths=/run/mic
"""


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    keys = _keys(tmp_path_factory.mktemp("keys"))
    with booted() as running:
        _install(running, keys)
        yield running


def _keys(folder: Path) -> Path:
    relay = str(REPOSITORY / ".venv" / "bin" / "bayscribe-relay")
    for words in (
        ["init", str(folder)],
        ["server", "localhost", "--dir", str(folder)],
        ["device", "bay-07", "--dir", str(folder)],
        ["gateway", "gateway", "--dir", str(folder), "--san", "localhost"],
        ["seal-key", "--dir", str(folder)],
    ):
        subprocess.run([relay, "pki", *words], check=True, stdout=subprocess.DEVNULL)
    return folder


def _install(container: Container, keys: Path) -> None:
    site = next((REPOSITORY / ".venv" / "lib").glob("python3*")).name
    path = f"{HOUSE}/daemon:{HOUSE}/relay:{HOUSE}/.venv/lib/{site}/site-packages"
    for program, module in (
        ("bayscribe", "bayscribe.cli"),
        ("bayscribe-relay", "bayscribe_relay.cli"),
        ("bayscribe-gateway", "bayscribe_relay.gateway.cli"),
    ):
        script = f'#!/bin/sh\nPYTHONPATH={path} exec /usr/bin/python3 -m {module} "$@"\n'
        container.write(f"/usr/bin/{program}", script, "0755")
        unit = (REPOSITORY / "systemd" / f"{program}.service").read_text()
        container.write(f"/etc/systemd/system/{program}.service", unit)
    names = {
        "/etc/bayscribe/device.crt": "bay-07.pem",
        "/etc/bayscribe/device.key": "bay-07.key",
        "/etc/bayscribe/relay-ca.crt": "ca.pem",
        "/etc/bayscribe/relay-seal.pub": "seal.pub",
        "/etc/bayscribe-relay/server.crt": "localhost.pem",
        "/etc/bayscribe-relay/server.key": "localhost.key",
        "/etc/bayscribe-relay/device-ca.crt": "ca.pem",
        "/etc/bayscribe-relay/device-ca.crl": "crl.pem",
        "/etc/bayscribe-relay/seal.key": "seal.open",
        "/etc/bayscribe-gateway/gateway.crt": "gateway.pem",
        "/etc/bayscribe-gateway/gateway.key": "gateway.key",
        "/etc/bayscribe-gateway/relay-ca.crt": "ca.pem",
    }
    for target, source in names.items():
        container.write(target, (keys / source).read_text(), "0600")
    container.write("/etc/bayscribe/bayscribe.toml", UNIT_TOML)
    container.write("/etc/bayscribe-relay/relay.toml", RELAY_TOML)
    container.write("/etc/bayscribe-gateway/gateway.toml", GATEWAY_TOML)
    container.write("/etc/bayscribe-gateway/sites/token", "secret", "0600")
    container.write("/etc/systemd/system/bayscribe.service.d/test.conf", DROP_IN)
    _make_microphone(container)
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "start", *UNITS)


def _make_microphone(container: Container) -> None:
    """A recorded microphone that the unit's dynamic user may open."""
    environment = ["env", "BAYSCRIBE_RECORDED_MIC=/run/mic", "HOME=/"]
    setup = ["bayscribe", "replay", "--array", PROFILE, "--pcm", "bay07", "--setup", "/run/mic"]
    setup += ["--idle", "silence"]
    container.run(*environment, *setup)
    container.run("chmod", "-R", "a+rwX", "/run/mic")


def _play(container: Container) -> None:
    """Play the excerpt, as the unit's own dynamic user."""
    pid = _show(container, "bayscribe.service", "MainPID")
    user = container.run("stat", "-c", "%u", f"/proc/{pid}").stdout.strip()
    container.run("chown", "-R", user, "/run/mic")
    container.run("chmod", "-R", "go-w", "/run/mic")
    scene = f"{HOUSE}/{SCENE.relative_to(REPOSITORY)}"
    container.run(
        *["env", "BAYSCRIBE_RECORDED_MIC=/run/mic", "HOME=/"],
        *["setpriv", "--reuid", user, "--regid", user, "--clear-groups"],
        *["bayscribe", "replay", scene, "--array", PROFILE, "--pcm", "bay07"],
        *["--at-end", "silence"],
    )


def _show(container: Container, unit: str, name: str) -> str:
    return container.run("systemctl", "show", "-P", name, unit).stdout.strip()


def _stream(container: Container) -> dict[str, object]:
    text = container.run(
        "bayscribe-relay", "streams", "--json", "--config", "/run/relay/relay.toml"
    ).stdout
    listed: dict[str, object] = json.loads(text)["devices"][0]
    return listed


def test_services_tell_systemd_that_they_are_ready(container: Container) -> None:
    for unit in UNITS:
        assert _show(container, unit, "ActiveState") == "active"
        assert _show(container, unit, "Type") == "notify"


@pytest.mark.parametrize("unit", UNITS)
def test_exposure_of_each_unit_is_bounded(container: Container, unit: str) -> None:
    text = container.run("systemd-analyze", "security", "--no-pager", unit, check=False).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    assert found is not None
    assert float(found[1]) <= LOOSEST


def test_audio_is_recorded_inside_the_sandbox_and_an_orderly_stop_closes_the_segment(
    container: Container,
) -> None:
    restarts = _show(container, "bayscribe.service", "NRestarts")
    _play(container)
    container.run("systemctl", "stop", "bayscribe.service")
    journal = container.run("journalctl", "--no-pager", "-u", "bayscribe.service").stdout
    assert _show(container, "bayscribe.service", "Result") == "success", journal
    container.run("sh", "-c", "mkdir -p /run/relay && cp -rL /etc/bayscribe-relay/. /run/relay")
    device = _stream(container)
    assert device["verified"] is True
    encounter = device["encounters"][-1]  # type: ignore[index]  # parsed JSON
    assert encounter["closed_reason"] == "stop"
    expected = load_profile(PROFILE).sample_rate
    assert encounter["samples"] > 10 * expected, journal
    container.run("systemctl", "start", "bayscribe.service")
    assert restarts == _show(container, "bayscribe.service", "NRestarts")


def test_a_prompt_can_sound_inside_the_appliances_sandbox(container: Container) -> None:
    """The unit's own file with another program: ALSA playback under the same restrictions."""
    site = next((REPOSITORY / ".venv" / "lib").glob("python3*")).name
    path = f"{HOUSE}/daemon:{HOUSE}/.venv/lib/{site}/site-packages"
    container.write(
        "/usr/bin/sound-probe",
        f"#!/bin/sh\nPYTHONPATH={path} exec /usr/bin/python3 -c 'import threading\n"
        "from bayscribe.prompts.clip import chime_clip\n"
        "from bayscribe.prompts.playback import AlsaSink\n"
        'AlsaSink("speaker").play(chime_clip(), threading.Event())\n'
        "'\n",
        "0755",
    )
    container.write(
        "/etc/sound-probe.conf",
        "</usr/share/alsa/alsa.conf>\n"
        "pcm.tofile { type file slave.pcm null format raw "
        'file "/var/lib/bayscribe-probe/heard.raw" }\n'
        "pcm.speaker { type plug slave { pcm tofile rate 48000 channels 1 format S16_LE } }\n",
    )
    text = (REPOSITORY / "systemd" / "bayscribe.service").read_text()
    text = re.sub("(?m)^ExecStart=.*", "ExecStart=/usr/bin/sound-probe", text)
    text = text.replace("Type=notify", "Type=oneshot").replace("Restart=always", "Restart=no")
    text = re.sub("(?m)^(WatchdogSec|NotifyAccess)=.*", "", text)
    text = text.replace(
        "[Service]", "[Service]\nEnvironment=ALSA_CONFIG_PATH=/etc/sound-probe.conf", 1
    ).replace("StateDirectory=bayscribe", "StateDirectory=bayscribe-probe", 1)
    text = text.replace("RuntimeDirectory=bayscribe", "RuntimeDirectory=bayscribe-probe", 1)
    container.write("/etc/systemd/system/sound-probe.service", text)
    container.run("systemctl", "daemon-reload")
    done = container.run("systemctl", "start", "sound-probe.service", check=False)
    journal = container.run("journalctl", "--no-pager", "-u", "sound-probe.service").stdout
    assert done.returncode == 0, journal
    heard = container.run("stat", "-L", "-c", "%s", "/var/lib/bayscribe-probe/heard.raw").stdout
    assert int(heard) > 0.6 * 48_000 * 2


def test_the_watchdog_restarts_a_unit_whose_job_does_not_advance(container: Container) -> None:
    show = ("systemctl", "show", "-P", "NRestarts", "bayscribe.service")
    container.run("systemctl", "restart", "bayscribe.service")
    assert container.run(*show).stdout.strip() == "0"
    container.run("kill", "-STOP", _show(container, "bayscribe.service", "MainPID"))
    container.wait(*show, until="1", timeout=60)
    container.wait(
        "systemctl", "show", "-P", "ActiveState", "bayscribe.service", until="active", timeout=60
    )
    journal = container.run("journalctl", "--no-pager", "-u", "bayscribe.service").stdout
    assert "Watchdog timeout" in journal


def test_after_an_unclean_stop_the_encounter_is_closed_as_recovered(container: Container) -> None:
    container.wait(
        "bayscribe-relay",
        "streams",
        "--json",
        "--config",
        "/run/relay/relay.toml",
        until='"closed_reason": "recovered"',
        timeout=30,
    )
    assert _stream(container)["verified"] is True
