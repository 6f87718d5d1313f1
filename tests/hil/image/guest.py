"""A unit in QEMU: UEFI, GRUB, the image as built, and a recorded microphone on its data disk.

Nothing inside the slots is changed for the test. What the test adds lies on the data
partition, where a site's own settings lie: the ALSA plug-in of the recorded microphone, a
scene, and a drop-in that points the appliance to them.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from image.commands import sh
from image.declaration import declaration
from image.disk import Disk, data_partition, put

from bayscribe.audio.profiles import load_profile
from bayscribe.audio.recorded_mic import Idle, RecordedMicrophone
from bayscribe.audio.recorded_pcm import LIBRARY, configuration, plugin_library

REPOSITORY = Path(__file__).resolve().parents[3]
SCENE = REPOSITORY / "tests" / "scenes" / "excerpt-4mic-70db" / "mics.flac"
PROFILE = "circle-4-32mm"
DISK_MIB = 2048
SCENE_TIMES = 20
HERE = "/var/lib/recorded-mic"
RUN = "/run/bayscribe/mic"

DROP_IN = f"""\
[Service]
# Software emulation on a busy machine is up to a hundred times slower than a board.
TimeoutStartSec=900
WatchdogSec=120
DeviceAllow=/dev/console rw
Environment=ALSA_CONFIG_PATH={HERE}/asound.conf BAYSCRIBE_RECORDED_MIC={RUN}
ExecStartPre=/bin/cp -r {HERE}/mic {RUN}
ExecStartPost=+/bin/sh -c 'echo BAYSCRIBE-READY > /dev/console'
ExecStartPost=/bin/sh -c 'bayscribe replay {HERE}/scene.flac --array {PROFILE} --pcm bay \\
    --at-end silence >/dev/null 2>&1 &'
"""


@dataclass(frozen=True, slots=True)
class Emulated:
    """A kind of machine that QEMU emulates, with UEFI firmware.

    Attributes:
        command: its program and machine.
        firmware: UEFI.
        variables: an empty store of its variables.
        flash_bytes: that firmware and variables must fill.
    """

    command: tuple[str, ...]
    firmware: Path
    variables: Path
    flash_bytes: int = 0


MACHINES = {
    # Westmere has what numpy asks for at least (x86-64-v2). The AVX2 that QEMU 7.2 emulates
    # gathers from wrong addresses, and numpy dies of it.
    "amd64": Emulated(
        ("qemu-system-x86_64", "-machine", "q35", "-cpu", "Westmere"),
        Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
        Path("/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ),
    "arm64": Emulated(
        ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"),
        Path("/usr/share/AAVMF/AAVMF_CODE.fd"),
        Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
        64 << 20,
    ),
}


class GuestError(Exception):
    """The unit did not do what it must."""


def make_disk(image: Path, disk: Path, order: str | None, *, microphone: bool = True) -> None:
    """Copy an image to a disk of 2 GiB and fill its data partition for the test.

    Args:
        image: as built.
        disk: the new file.
        order: ``enrol.toml`` for the unit's first start.
        microphone: False leaves the unit without one.
    """
    sh("cp", "--sparse=always", image, disk)
    sh("truncate", "-s", f"{DISK_MIB}M", disk)
    content = disk.with_suffix(".content")
    shutil.rmtree(content, ignore_errors=True)
    unit = content / "lib" / "bayscribe-unit"
    drop_ins = unit / "bayscribe.service.d"
    drop_ins.mkdir(parents=True)
    unit.chmod(0o711)
    if order is not None:
        (unit / "enrol.toml").write_text(order + '\n[encounter]\nmode = "always"\n')
    if microphone:
        (drop_ins / "test.conf").write_text(DROP_IN)
    lay_microphone(content / HERE.removeprefix("/var/"))
    start, size = Disk.of(declaration()).places["data"]
    data = disk.with_suffix(".data")
    data_partition(data, size, "test", content)
    put(disk, data, start)
    data.unlink()
    shutil.rmtree(content)


def lay_microphone(folder: Path) -> None:
    """Put plug-in, microphone and scene into a folder of the data partition."""
    profile = load_profile(PROFILE)
    folder.mkdir(parents=True)
    place = folder / "mic" / "bay"
    place.parent.mkdir()
    RecordedMicrophone(place, profile.alsa_channels, profile.sample_rate, Idle.SILENCE).close()
    text = configuration("bay", profile, Path(RUN) / "bay")
    text = text.replace(str(plugin_library()), f"{HERE}/{LIBRARY}")
    (folder / "asound.conf").write_text(text)
    shutil.copy(plugin_library(), folder / LIBRARY)
    # Long enough for the slowest start: behind its end the microphone is as good as dead.
    sound, rate = soundfile.read(SCENE, dtype="int16", always_2d=True)
    soundfile.write(folder / "scene.flac", np.tile(sound, (SCENE_TIMES, 1)), rate)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


class Guest:
    """One power-on.

    Args:
        disk: of the unit.
        log: receives its serial console.
        machine: key of :data:`MACHINES`.
    """

    def __init__(self, disk: Path, log: Path, machine: str = "amd64") -> None:
        emulated = MACHINES[machine]
        variables = disk.with_suffix(".vars")
        if not variables.exists():
            shutil.copy(emulated.variables, variables)
        firmware = disk.with_suffix(".firmware")
        shutil.copy(emulated.firmware, firmware)
        for part in (variables, firmware):
            os.truncate(part, max(part.stat().st_size, emulated.flash_bytes))
        self.log = log
        flash = "if=pflash,format=raw"
        command = [*emulated.command, "-accel", "tcg", "-smp", "1", "-m", "1024"]
        command += ["-nographic", "-nodefaults", "-monitor", "none"]
        command += ["-drive", f"{flash},readonly=on,file={firmware}"]
        command += ["-drive", f"{flash},file={variables}"]
        command += ["-drive", f"file={disk},if=virtio,format=raw,cache=writeback"]
        command += ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]
        command += ["-device", "virtio-rng-pci", "-serial", f"file:{log}"]
        log.unlink(missing_ok=True)
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    @property
    def processor_s(self) -> float:
        """Seconds of processor time since power-on: what a machine of its own would take."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def age(self) -> float:
        """Seconds since power-on."""
        return time.monotonic() - self.began

    def console(self) -> str:
        """What the serial console has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def starts(self) -> list[str]:
        """Slots that the kernel was started from since power-on."""
        return re.findall(r"bayscribe: starting slot ([ab])", self.console())

    def wait(self, condition: Callable[[], bool], what: str, patience_s: float = 600) -> float:
        """Wait for a condition; seconds since power-on.

        Raises:
            GuestError: it never came.
        """
        end = time.monotonic() + patience_s
        while not condition():
            if self._process.poll() is not None:
                said = (self._process.stderr.read() if self._process.stderr else b"")[-500:]
                raise GuestError(f"QEMU ended: {said.decode(errors='replace')}")
            if time.monotonic() > end:
                raise GuestError(f"never came: {what}; console:\n{self.console()[-2000:]}")
            time.sleep(0.2)
        return self.age

    def wait_for(self, text: str, patience_s: float = 600, times: int = 1) -> float:
        """Wait until the console has said something so many times."""
        return self.wait(lambda: self.console().count(text) >= times, text, patience_s)

    def cut(self) -> None:
        """Cut the power."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def journal(disk: Path) -> str:
    """The unit's journal, read from its data partition after the power was cut."""
    start, _ = Disk.of(declaration()).places["data"]
    folder = disk.with_suffix(".journal")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    part = folder / "data"
    sh("dd", f"if={disk}", f"of={part}", "bs=1M", f"skip={start}", "conv=sparse", "status=none")
    subprocess.run(["e2fsck", "-p", str(part)], check=False, capture_output=True)
    sh("debugfs", "-R", f"rdump /log/journal {folder}", part)
    return sh("journalctl", "--no-pager", "-o", "short-monotonic", "-D", folder / "journal")
