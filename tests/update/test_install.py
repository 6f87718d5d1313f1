import json
import os
import sys
from pathlib import Path

import pytest
from image.tree import Release as BuiltRelease

from bayscribe.errors import BayscribeError, IntegrityError
from bayscribe.update import backend, before_install
from bayscribe.update.before_install import Downgrade
from bayscribe.update.bootstate import BootState
from bayscribe.update.install import Bundle, describe, examine, install
from bayscribe.update.machine import Machine, Release
from image import bundle as bundles
from update.unit_places import RUNNING, boot_state, machine, sha256

SYSTEM = os.urandom(300_000)
NEXT = RUNNING + 1


@pytest.fixture
def unit(tmp_path: Path) -> Machine:
    return machine(tmp_path)


def bundle_for(folder: Path, release: int = NEXT, content: bytes = SYSTEM) -> Bundle:
    path = folder / "update.raucb"
    path.write_bytes(content)
    return Bundle(path, Release("0.1.0", release, "amd64"), sha256(SYSTEM), len(SYSTEM))


def fake_rauc(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """A `rauc` whose install does what the test says; `boot` and `slot` are the unit's."""
    tools = folder / "tools"
    tools.mkdir()
    program = tools / "rauc"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "from pathlib import Path\n"
        f"folder = Path({str(folder)!r})\n"
        "bundle = Path(sys.argv[-1]).read_bytes()\n"
        "def write(data):\n"
        "    with (folder / 'slot-b').open('r+b') as file: file.write(data)\n"
        "(folder / 'seen').write_bytes((folder / 'boot').read_bytes())\n" + does
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


def test_a_new_system_goes_to_the_other_slot_on_trial(
    unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rauc(tmp_path, monkeypatch, "write(bundle)\n")
    assert install(bundle_for(tmp_path), unit) == "b"
    assert boot_state(unit) == BootState(first="b", a="good", b="3")
    assert describe(unit)["starts_next"] == "b"


def test_while_it_is_written_the_other_slot_is_void(
    unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit.sector().write(BootState(first="b", a="good", b="good"))
    fake_rauc(tmp_path, monkeypatch, "write(bundle)\n")
    install(bundle_for(tmp_path), unit)
    seen = (tmp_path / "seen").read_bytes()
    assert BootState.parse(seen[1 << 20 : (1 << 20) + 1024]) == BootState("a", "good", "void")


def test_a_slot_that_reads_back_differently_stays_void(
    unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rauc(tmp_path, monkeypatch, "write(bundle[:-1] + b'x')\n")
    with pytest.raises(IntegrityError, match="does not hold what was written"):
        install(bundle_for(tmp_path), unit)
    assert boot_state(unit) == BootState(first="a", a="good", b="void")


def test_when_rauc_refuses_the_running_system_stays(
    unit: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rauc(tmp_path, monkeypatch, "sys.exit('no good')\n")
    with pytest.raises(IntegrityError, match="no good"):
        install(bundle_for(tmp_path), unit)
    assert boot_state(unit).starts() == "a"


@pytest.mark.parametrize("release", [RUNNING - 1, RUNNING])
def test_a_release_that_is_not_higher_is_refused_before_anything_is_touched(
    unit: Machine, tmp_path: Path, release: int
) -> None:
    before = (tmp_path / "boot").read_bytes()
    with pytest.raises(Downgrade):
        install(bundle_for(tmp_path, release), unit)
    assert (tmp_path / "boot").read_bytes() == before


def test_a_unit_that_went_back_still_refuses_what_it_has_had(unit: Machine, tmp_path: Path) -> None:
    (unit.state / "floor").write_text(str(NEXT))
    with pytest.raises(Downgrade):
        install(bundle_for(tmp_path, NEXT), unit)


def test_rauc_called_by_hand_meets_the_same_refusal(unit: Machine, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    facts = {"version": "0.1.0", "release": RUNNING, "architecture": "amd64", "slot_bytes": 1}
    (mounted / "release.json").write_text(json.dumps(facts))
    told = before_install.bundled({"RAUC_BUNDLE_MOUNT_POINT": str(mounted)})
    with pytest.raises(Downgrade):
        before_install.admit(told, unit)
    with pytest.raises(IntegrityError, match="for arm64"):
        before_install.admit(Release("0.1.0", NEXT, "arm64"), unit)
    (mounted / "release.json").unlink()
    with pytest.raises(IntegrityError, match="does not say"):
        before_install.bundled({"RAUC_BUNDLE_MOUNT_POINT": str(mounted)})


def test_rauc_may_void_the_other_slot_and_decide_nothing_else(unit: Machine) -> None:
    assert backend.answer(["get-primary"], unit) == "a"
    assert backend.answer(["get-state", "a"], unit) == "good"
    assert backend.answer(["get-state", "b"], unit) == "bad"
    backend.answer(["set-state", "b", "bad"], unit)
    assert boot_state(unit).b == "void"
    for words in (["set-primary", "b"], ["set-state", "b", "good"], ["set-state", "a", "bad"]):
        with pytest.raises(BayscribeError):
            backend.answer(words, unit)
    with pytest.raises(ValueError, match="unknown request"):
        backend.answer(["explode"], unit)
    assert boot_state(unit).starts() == "a"


# -- real bundles, checked by the real rauc


def made(folder: Path, keys: Path, release: int = NEXT) -> Path:
    folder.mkdir(exist_ok=True)
    slot = folder / "system.slot"
    slot.write_bytes(os.urandom(64 * 4096))
    built = BuiltRelease("0.1.0", release, "amd64", 1_700_000_000)
    return bundles.make(folder, slot, built, bundles.Signer.development(keys))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A bundle, and how rauc is told whom to trust."""
    folder = tmp_path_factory.mktemp("bundle")
    path = made(folder, folder / "keys")
    return path, (f"--keyring={folder / 'keys' / 'update-ca.pem'}",)


def test_a_signed_bundle_says_what_it_is(ours: tuple[Path, tuple[str, ...]]) -> None:
    path, trust = ours
    told = examine(path, trust)
    assert told.release == Release("0.1.0", NEXT, "amd64")
    content = (path.parent / "system.slot").read_bytes()
    assert (told.sha256, told.size) == (sha256(content), len(content))


def test_a_bundle_of_another_publisher_is_refused(
    ours: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    foreign = made(tmp_path / "foreign", tmp_path / "keys")
    with pytest.raises(IntegrityError) as refused:
        examine(foreign, ours[1])
    assert refused.value.code == "signature"


def test_a_bundle_whose_signed_part_was_altered_is_refused(
    ours: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    data = bytearray(ours[0].read_bytes())
    at = data.rindex(b"version=0.1.0")
    data[at + 8] ^= 1
    altered = tmp_path / "altered.raucb"
    altered.write_bytes(data)
    with pytest.raises(IntegrityError):
        examine(altered, ours[1])


def test_what_is_no_bundle_is_refused_by_name(
    ours: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    junk = tmp_path / "junk.raucb"
    junk.write_bytes(b"x" * 100_000)
    with pytest.raises(IntegrityError, match=r"junk\.raucb"):
        examine(junk, ours[1])
    with pytest.raises(BayscribeError, match="no such bundle"):
        examine(tmp_path / "absent.raucb", ours[1])
