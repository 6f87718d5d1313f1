"""The tree of a system: Debian, kernel, product and what ties them together."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from msgspec import json

from bayscribe import __version__
from image import debian, initrd, sbom, scan, wheels
from image.commands import sh
from image.declaration import HERE, REPOSITORY, Architecture, Declaration

UNIT_FOLDER = "/var/lib/bayscribe-unit"
LINKS = {
    "etc/bayscribe": UNIT_FOLDER,
    "etc/systemd/system/bayscribe.service.d": f"{UNIT_FOLDER}/bayscribe.service.d",
    "etc/systemd/network/10-site.network": f"{UNIT_FOLDER}/site.network",
    "etc/systemd/timesyncd.conf.d/20-site.conf": f"{UNIT_FOLDER}/timesyncd.conf",
    "etc/asound.conf": f"{UNIT_FOLDER}/asound.conf",
    "etc/resolv.conf": "/run/systemd/resolve/stub-resolv.conf",
}
"""What a site says of its own lies on the data partition."""

ENABLED = (
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "bayscribe.service",
    "bayscribe-identity.service",
    "bayscribe-enrol.service",
    "bayscribe-confirm.service",
    "bayscribe-update.path",
    "bayscribe-grow.service",
)
MASKED = (
    # A bay records without a network: nothing may wait for one.
    "systemd-networkd-wait-online.service",
    "systemd-machine-id-commit.service",
    "systemd-firstboot.service",
    "getty@tty1.service",
    "serial-getty@.service",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-pcrphase.service",
    "rauc-mark-good.service",
    # Nobody logs in to a unit.
    "systemd-logind.service",
    "systemd-user-sessions.service",
    "getty.target",
    "getty-static.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "e2scrub_reap.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-update-done.service",
    "ldconfig.service",
    # Each costs a start of a program or a module before the appliance may start.
    "systemd-repart.service",  # bayscribe-grow.service, behind the appliance
    "systemd-remount-fs.service",  # mounted as they stay by the initial RAM disk
    "systemd-modules-load.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-pstore.service",
    "systemd-initctl.socket",
    "systemd-journald-audit.socket",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-pcrphase-sysinit.service",
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
)
KEPT_GENERATORS = ("systemd-fstab-generator",)
"""Every other one looks for what a unit has not: encrypted disks, gettys, init scripts."""
RELAY_UNITS = (
    "bayscribe-relay.service",
    "bayscribe-gateway.service",
    "bayscribe-provision.service",
)
LEFT_BEHIND = (
    *("etc/apt", "etc/hostname", "etc/machine-id", "etc/resolv.conf", "etc/fstab", "var", "boot"),
    *(
        "usr/share/lintian",
        "usr/share/bug",
        "usr/share/common-licenses",
        "usr/share/bash-completion",
    ),
    *("usr/share/zsh", "usr/share/pixmaps", "usr/share/info", "etc/dhcp", "etc/init.d"),
)


@dataclass(frozen=True, slots=True)
class Release:
    """Which release a system is.

    Attributes:
        version: of the product.
        release: counts up; a unit takes no lower one.
        architecture: Debian's name.
        epoch: seconds since 1970, for every time stamp in the image.
    """

    version: str
    release: int
    architecture: str
    epoch: int

    @property
    def name(self) -> str:
        """For files and people."""
        return f"bayscribe-{self.version}-{self.release}-{self.architecture}"


def current(architecture: str, release: int | None = None) -> Release:
    """The release that the checkout is: the time of its last change, unless stated."""
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    epoch = int(stated or sh("git", "log", "-1", "--format=%ct", folder=REPOSITORY))
    return Release(__version__, release or epoch, architecture, epoch)


def make(
    work: Path, declared: Declaration, built_for: Architecture, release: Release, keyring: Path
) -> Path:
    """Make the tree of a system.

    Args:
        work: folder of the build.
        declared: what it is made of.
        built_for: for which processor.
        release: which release it becomes.
        keyring: certificate that bundles must be signed under.

    Returns:
        its root.

    Raises:
        BuildError: a part of it cannot be had.
    """
    os.environ["SOURCE_DATE_EPOCH"] = str(release.epoch)
    base, parts, root = work / "debian", work / "parts", work / "root"
    arch = release.architecture
    debian.bootstrap(base, declared, arch, declared.packages, variant="essential")
    debian.bootstrap(parts, declared, arch, debian.parts(declared, built_for), variant="extract")
    if root.exists():
        shutil.rmtree(root)
    sh("cp", "-a", base, root)
    database = root / "var/lib/dpkg"
    components = list(sbom.debian(database))
    for name in LEFT_BEHIND:
        path = root / name
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path, True)
    components.append(_kernel(root, parts, declared, arch))
    wheels.install(root, parts, declared, built_for)
    wheels.native_libraries(root, built_for)
    components += sbom.python(root / wheels.SITE)
    components += sbom.networks(REPOSITORY / "models")
    _overlay(root, declared, release, keyring)
    _units(root)
    bill = sbom.document("bayscribe-image", f"{release.version}+{release.release}",
                         release.epoch, components)  # fmt: skip
    (root / "usr/share/bayscribe/sbom.cdx.json").write_text(bill, encoding="utf-8")
    scan.scan(root, REPOSITORY, debian.sources(declared.suite))
    modules = root / "usr/lib/modules"
    (root / "boot/initrd").write_bytes(
        initrd.build(
            root,
            modules / initrd.kernel_version(modules),
            declared.initrd_modules,
            declared.initrd_disks,
        )
    )
    return root


def _kernel(root: Path, parts: Path, declared: Declaration, arch: str) -> sbom.Component:
    """The kernel and the modules that a unit may need."""
    unpacked = parts / "lib/modules"  # packages that are only unpacked know no merged /usr
    version = initrd.kernel_version(unpacked)
    unpacked /= version
    modules = root / "usr/lib/modules" / version
    modules.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(unpacked, modules, symlinks=True)
    for name in declared.modules_left_out:
        shutil.rmtree(modules / "kernel" / name, ignore_errors=True)
    disks = (name for group in declared.initrd_disks for name in group)
    keep = {f"{name}.ko" for name in (*declared.initrd_modules, *disks, *declared.kept_modules)}
    for path in (unpacked / "kernel").rglob("*.ko"):
        if path.name.replace("-", "_") in keep | {"scsi_mod.ko", "scsi_common.ko"}:
            target = modules / path.relative_to(unpacked)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    sh("depmod", "-b", root, version)
    (root / "boot").mkdir()
    image = parts / "boot" / f"vmlinuz-{version}"
    shutil.copy2(image, root / "boot/vmlinuz")
    # The kernel says its package's version itself: "... SMP Debian 6.1.1-1 (2026-01-01)".
    told = re.search(rb" Debian (\d[0-9A-Za-z.+~-]*) \(", image.read_bytes())
    stated = told[1].decode() if told else version
    return sbom.unpacked(f"linux-image-{version}", stated, arch, image)


def _overlay(root: Path, declared: Declaration, release: Release, keyring: Path) -> None:
    shutil.copytree(HERE / "files" / "root", root, dirs_exist_ok=True, symlinks=True)
    for name in ("var", "efi", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text("uninitialized\n", encoding="ascii")
    (root / "etc/hostname").write_text(f"{declared.hostname}\n", encoding="ascii")
    apt = root / "etc/apt"
    apt.mkdir()
    (apt / "sources.list").write_text(debian.PLAIN, encoding="ascii")
    for name, target in LINKS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    shutil.copy(keyring, root / "etc/rauc/keyring.pem")
    config = root / "etc/rauc/system.conf"
    text = config.read_text(encoding="ascii").replace("@ARCHITECTURE@", release.architecture)
    config.write_text(text, encoding="ascii")
    own = root / "usr/share/bayscribe"
    own.mkdir(parents=True)
    facts = {"version": release.version, "release": release.release,
             "architecture": release.architecture}  # fmt: skip
    (own / "release.json").write_bytes(json.encode(facts) + b"\n")
    rules = root / "usr/lib/udev/rules.d"
    for path in sorted((REPOSITORY / "firmware-config/udev").glob("*.rules")):
        shutil.copy(path, rules)
    with (root / "usr/lib/os-release").open("a", encoding="utf-8") as file:
        file.write(f"IMAGE_ID=bayscribe\nIMAGE_VERSION={release.release}\n")


def _units(root: Path) -> None:
    """Install and enable the product's services, as `systemctl enable` does."""
    place = root / "usr/lib/systemd/system"
    for path in sorted((REPOSITORY / "systemd").iterdir()):
        if path.is_file() and path.name not in RELAY_UNITS:
            shutil.copy(path, place)
    # Settings that a site may put into its own bayscribe.service.d.
    shutil.copytree(REPOSITORY / "systemd/dropins", root / "usr/share/bayscribe/dropins")
    links = root / "etc/systemd/system"
    for unit in ENABLED:
        text = (place / unit).read_text(encoding="utf-8")
        for kind, suffix in (("WantedBy", "wants"), ("Also", "")):
            for target in re.findall(rf"^{kind}=(.+)$", text, re.MULTILINE):
                for one in target.split():
                    if suffix:
                        _link(links / f"{one}.{suffix}" / unit, f"/usr/lib/systemd/system/{unit}")
    _link(links / "default.target", "/usr/lib/systemd/system/multi-user.target")
    _mask(root)


def _mask(root: Path) -> None:
    """What Debian starts and a unit does not need."""
    for unit in MASKED:
        _link(root / "etc/systemd/system" / unit, "/dev/null")
    for path in sorted((root / "usr/lib/systemd/system-generators").iterdir()):
        if path.name not in KEPT_GENERATORS:
            _link(root / "etc/systemd/system-generators" / path.name, "/dev/null")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
