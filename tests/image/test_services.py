import re
import subprocess

import pytest
from image.declaration import HERE, REPOSITORY
from image.tree import ENABLED, LINKS, MASKED, RELAY_UNITS

SYSTEMD = REPOSITORY / "systemd"
MOST = 15
"""Tenths of ``systemd-analyze security`` exposure that no service may exceed."""

SERVICES = sorted(path.name for path in SYSTEMD.glob("*.service"))


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_is_exposed_more_than_allowed(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    said = subprocess.run(
        [*command, f"--threshold={MOST}", str(SYSTEMD / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-300:]


def test_every_service_of_a_unit_is_started_by_something() -> None:
    texts = [path.read_text() for path in SYSTEMD.iterdir() if path.is_file()]
    for name in SERVICES:
        if name not in RELAY_UNITS and name not in ENABLED:
            started = re.compile(rf"^(Unit|OnSuccess)={re.escape(name)}$", re.MULTILINE)
            assert any(started.search(text) for text in texts), name
    assert not set(ENABLED) & set(MASKED)


def test_what_meets_the_network_has_no_disk_and_what_has_a_disk_no_network() -> None:
    for name, network in (
        ("bayscribe-fetch.service", True),
        ("bayscribe-enrol.service", True),
        ("bayscribe-install.service", False),
        ("bayscribe-confirm.service", False),
    ):
        text = (SYSTEMD / name).read_text()
        assert ("PrivateNetwork=yes" in text) != network, name
        assert ("DeviceAllow=block-" in text) != network, name


def test_what_a_site_may_change_lies_on_the_data_partition() -> None:
    for place, target in LINKS.items():
        assert place.startswith("etc/")
        assert target.startswith(("/var/lib/bayscribe-unit", "/run/")), place


def test_the_slots_devices_are_the_partitions_that_the_disk_has() -> None:
    text = (HERE / "files/root/etc/rauc/system.conf").read_text()
    found = re.findall(r"^device=/dev/disk/by-partlabel/(.+)$", text, re.MULTILINE)
    assert found == ["slot-a", "slot-b"]
    assert "activate-installed=false" in text
    assert "bundle-formats=verity" in text


def waits_for(name: str) -> set[str]:
    text = (SYSTEMD / name).read_text()
    found = re.findall(r"^(?:After|Wants|Requires)=(.+)$", text, re.MULTILINE)
    return {unit for line in found for unit in line.split()}


def test_recording_waits_for_no_network_no_time_and_no_device() -> None:
    for name in ("bayscribe.service", "bayscribe-identity.service"):
        text = (SYSTEMD / name).read_text()
        assert "DefaultDependencies=no" in text, name
        assert re.search(r"^Before=.*shutdown\.target", text, re.MULTILINE), name
        assert "Conflicts=shutdown.target" in text, name
        assert waits_for(name) <= {
            "local-fs.target",
            "systemd-tmpfiles-setup.service",
            "systemd-journald.socket",
        }, name


def test_the_mounts_before_recording_wait_for_no_device() -> None:
    lines = (HERE / "files/root/etc/fstab").read_text().splitlines()
    mounts = {words[1]: words[3].split(",") for line in lines if (words := line.split())[0] != "#"}
    assert "nofail" in mounts["/efi"]
    assert not any("x-systemd.growfs" in options for options in mounts.values())
    assert "systemd-repart.service" in MASKED
    assert "bayscribe-grow.service" in ENABLED
    grow = (HERE / "files/root/usr/lib/systemd/system/bayscribe-grow.service").read_text()
    assert re.search(r"^After=.*bayscribe\.service", grow, re.MULTILINE)
    assert "bayscribe-grow.service" in waits_for("bayscribe-enrol.service")


def test_what_brings_the_array_and_the_network_is_found_at_the_start() -> None:
    folder = HERE / "files/root/usr/lib/systemd/system/systemd-udev-trigger.service.d"
    text = (folder / "10-unit.conf").read_text()
    left_out = set(re.findall(r"--subsystem-nomatch=(\w+)", text))
    needed = {"pci", "usb", "virtio", "platform", "net", "sound", "block", "input", "mmc"}
    needed |= {"i2c", "spi", "spidev", "gpio", "leds", "hidraw", "tpm", "tpmrm", "misc", "rtc"}
    assert left_out
    assert not left_out & needed
