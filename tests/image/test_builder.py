import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest
from image.commands import BuildError
from image.declaration import HERE, REPOSITORY, architecture, declaration

from bayscribe.errors import BadUse
from image import content, debian, disk, initrd, sbom, scan, wheels

OURS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def apt(folder: Path, **files: str) -> Path:
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        kind = "sources" if "Types:" in text else "list"
        (folder / "sources.list.d" / f"{name}.{kind}").write_text(text)
    return folder


def test_sources_are_the_machines_own_and_only_debians(tmp_path: Path) -> None:
    folder = apt(
        tmp_path / "apt",
        debian=f"Types: deb\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n"
        f"Components: main contrib\nSigned-By: {OURS}\n\n"
        f"Types: deb\nURIs: http://mirror/security\nSuites: bookworm-security\n"
        f"Components: main\nSigned-By: {OURS}\n",
        vendor="Types: deb\nURIs: http://vendor/apt\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/vendor.gpg\n",
        other="deb http://other/apt stable main\n",
    )
    found = debian.sources("bookworm", apt=folder)
    assert [line.split("] ")[1] for line in found] == [
        "http://mirror/debian bookworm main",
        "http://mirror/debian bookworm-updates main",
        "http://mirror/security bookworm-security main",
    ]


def test_one_line_sources_are_read_too(tmp_path: Path) -> None:
    folder = apt(
        tmp_path / "apt", main="# comment\ndeb http://mirror/debian bookworm main contrib\n"
    )
    assert debian.sources("bookworm", apt=folder) == ["deb http://mirror/debian bookworm main"]
    with pytest.raises(BadUse, match="no source of Debian trixie"):
        debian.sources("trixie", apt=folder)


def test_the_lock_names_every_library_that_the_product_asks_for() -> None:
    names = {lib.name for lib in wheels.locked(wheels.LOCK.read_text())}
    text = (REPOSITORY / "pyproject.toml").read_text()
    needed = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)
    assert needed is not None
    asked = set(re.findall(r'"([a-z0-9-]+)[>=]', needed[1]))
    asked |= {"ai-edge-litert", "kaldi-native-fbank", "paho-mqtt", "pyalsaaudio"}
    assert asked <= names
    assert "python3-systemd" in declaration().packages


def test_every_library_of_the_lock_is_pinned_by_hashes() -> None:
    libraries = list(wheels.locked(wheels.LOCK.read_text()))
    assert len(libraries) > 10
    for library in libraries:
        assert library.hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in library.hashes)
    assert "://" not in wheels.LOCK.read_text()


def test_versions_are_the_ones_that_the_tests_run_with() -> None:
    tested = {
        lib.name: lib.version
        for lib in wheels.locked((REPOSITORY / "tests/requirements.lock").read_text())
    }
    for library in wheels.locked(wheels.LOCK.read_text()):
        assert tested.get(library.name, library.version) == library.version


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/fs/ext4.ko: kernel/fs/jbd2.ko kernel/lib/crc16.ko\n"
        "kernel/fs/jbd2.ko:\nkernel/lib/crc16.ko:\nkernel/fs/other.ko:\n"
    )
    order = initrd.in_order(tmp_path, ["ext4", "built_in", "jbd2"])
    assert order == ["kernel/lib/crc16.ko", "kernel/fs/jbd2.ko", "kernel/fs/ext4.ko"]


def test_the_ram_disk_looks_for_the_slot_between_kinds_of_disks(tmp_path: Path) -> None:
    root, modules = tmp_path / "root", tmp_path / "modules"
    for source in initrd.PROGRAMS.values():
        (root / source).parent.mkdir(parents=True, exist_ok=True)
        (root / source).write_bytes(b"program")
    (modules / "k").mkdir(parents=True)
    for name in ("ext4", "core", "mmc", "usb"):
        (modules / "k" / f"{name}.ko").write_bytes(name.encode())
    (modules / "modules.dep").write_text(
        "k/ext4.ko:\nk/core.ko:\nk/mmc.ko: k/core.ko\nk/usb.ko: k/core.ko\n"
    )
    packed = initrd.build(root, modules, ["ext4"], [["mmc"], ["usb", "absent"]])
    data = gzip.decompress(packed)
    at = data.index(b"/lib/modules/ext4.ko\n")
    assert data[at : data.index(b"\0", at)].decode().split() == [
        "/lib/modules/ext4.ko",
        "look",
        "/lib/modules/core.ko",
        "/lib/modules/mmc.ko",
        "look",
        "/lib/modules/usb.ko",
        "look",
    ]


def test_the_same_ram_disk_is_the_same_bytes_in_the_kernels_format() -> None:
    archive = initrd.Archive()
    archive.add("bin", 0o040755)
    archive.add("bin/program", 0o100755, b"content")
    packed = archive.finish()
    again = initrd.Archive()
    again.add("bin", 0o040755)
    again.add("bin/program", 0o100755, b"content")
    assert again.finish() == packed
    data = gzip.decompress(packed)
    assert data.startswith(b"070701")
    assert b"bin/program\0" in data
    assert b"TRAILER!!!" in data


def test_partitions_follow_each_other_and_stay_under_the_limit() -> None:
    layout = disk.Disk.of(declaration())
    end = 1
    for start, size in layout.places.values():
        assert start == end
        end = start + size
    assert layout.mib == end + 1 < 700
    script = layout.script("bayscribe-1")
    assert script == layout.script("bayscribe-1")
    assert [re.search(r"name=([a-z-]+)", line)[1] for line in script.splitlines()[2:]] == [  # type: ignore[index]  # every line has a name
        "boot",
        "slot-a",
        "slot-b",
        "data",
    ]


def test_a_disk_image_has_the_partitions_that_sfdisk_reads(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    layout = disk.Disk.of(declaration())
    with image.open("wb") as file:
        file.truncate(layout.mib << 20)
    script = tmp_path / "script"
    script.write_text(layout.script("bayscribe-1"))
    sfdisk = "/usr/sbin/sfdisk"
    with script.open() as told:
        subprocess.run([sfdisk, "-q", str(image)], stdin=told, check=True)
    listed = json.loads(
        subprocess.run([sfdisk, "-J", str(image)], capture_output=True, check=True).stdout
    )["partitiontable"]["partitions"]
    assert [part["name"] for part in listed] == list(layout.places)
    assert [part["start"] // 2048 for part in listed] == [s for s, _ in layout.places.values()]


def test_the_boot_state_must_fit_one_sector() -> None:
    assert len(disk.environment(ORDER="A B", A_STATE="good", B_STATE="void")) == 1024
    with pytest.raises(BuildError):
        disk.environment(ORDER="x" * 600)


def tree(folder: Path) -> Path:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/one").write_text("1")
    (folder / "etc/link").symlink_to("one")
    return folder


def test_a_list_of_contents_shows_every_difference(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    assert content.differences(content.entries(one), content.entries(other)) == []
    (other / "etc/one").write_text("2")
    (other / "etc/two").write_text("new")
    (other / "etc/one").chmod(0o600)
    said = content.differences(content.entries(one), content.entries(other))
    assert said == ["/etc/two: only in the second", "/etc/one: mode, sha256"]
    content.write(tmp_path / "list", content.entries(one))
    assert content.read(tmp_path / "list") == content.entries(one)


def test_the_bill_of_materials_names_packages_with_versions_and_hashes(tmp_path: Path) -> None:
    info = tmp_path / "dpkg" / "info"
    info.mkdir(parents=True)
    (tmp_path / "dpkg/status").write_text(
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
    )
    (info / "libc6:amd64.md5sums").write_text("00  lib/x\n")
    facts = tmp_path / "site" / "numpy-2.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Name: numpy\nVersion: 2.0\nLicense-Expression: BSD\n\ntext\n")
    (facts / "RECORD").write_text("numpy/__init__.py,,\n")
    parts = [*sbom.debian(tmp_path / "dpkg"), *sbom.python(tmp_path / "site")]
    parts += sbom.networks(REPOSITORY / "models")
    bill = json.loads(sbom.document("bayscribe-image", "0.1.0+5", 0, parts))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    purls = {part["purl"] for part in bill["components"]}
    assert {"pkg:deb/debian/libc6@2.36-9?arch=amd64", "pkg:pypi/numpy@2.0"} <= purls
    assert sum(part["type"] == "machine-learning-model" for part in bill["components"]) >= 3
    for part in bill["components"]:
        assert re.fullmatch(r"[0-9a-f]{64}", part["hashes"][0]["content"])
    assert sbom.document("bayscribe-image", "0.1.0+5", 0, parts[::-1]) == sbom.document(
        "bayscribe-image", "0.1.0+5", 0, parts
    )


def test_a_finished_tree_with_a_secret_is_not_made_into_an_image(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    (root / "etc/shadow").write_text("root:*:1:\ndaemon:!:1:\n")
    lines = ["deb http://packages.site.example/debian bookworm main"]
    assert scan.scan(root, REPOSITORY, lines) == 2
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIGH" * 16
    for name, text, said in (
        ("etc/a.pem", key, "a secret"),
        ("etc/b.conf", "url = https://user:hunter2hunter2@index/", "a secret"),
        ("usr/c.pyc", f"{REPOSITORY}/daemon/x.py", "a path of the building machine"),
        ("etc/d.list", "deb http://packages.site.example/debian", "a host"),
        ("etc/shadow", "root::1:\n", "root can log in"),
    ):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if path.exists() else None
        path.write_text(text)
        with pytest.raises(BuildError, match=said):
            scan.scan(root, REPOSITORY, lines)
        path.unlink() if before is None else path.write_text(before)


SECRET = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|AKIA[0-9A-Z]{16}|://[^/\s:@]+:[^/\s@]+@"
)


def test_nothing_that_goes_into_an_image_holds_a_secret_or_names_the_building_machine() -> None:
    places = [HERE / "files", HERE / "boards", REPOSITORY / "systemd"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    files += [HERE / "image.toml", wheels.LOCK]
    assert len(files) > 20
    for path in files:
        data = path.read_bytes()
        assert not SECRET.search(data), path
        assert str(REPOSITORY).encode() not in data, path
        hosts = set(re.findall(rb"https?://([^/\s]+)", data))
        assert not hosts, (path, hosts)


def test_a_units_own_apt_names_nobody() -> None:
    assert "://" not in debian.PLAIN


def test_an_architecture_that_is_none_is_refused() -> None:
    with pytest.raises(BadUse, match="no architecture"):
        architecture("sparc")


def test_every_file_for_a_unit_is_one_that_systemd_or_a_shell_accepts() -> None:
    for name in ("init", "root/usr/lib/bayscribe/open-key"):
        subprocess.run(["sh", "-n", str(HERE / "files" / name)], check=True)
    for name in ("boot-choice", "before-install", "open-key"):
        assert (HERE / "files/root/usr/lib/bayscribe" / name).stat().st_mode & 0o111 == 0o111
