import json
import subprocess
import sys
from pathlib import Path

import pytest

import bayscribe
import bayscribe_verify
from bayscribe_relay.cli import main as relay
from bayscribe_relay.clinical.audit import entries
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.pki.authority import Authority, Issued
from bayscribe_verify.cli import main
from custody.hospital import RECORDING, STAY, Hospital
from faults.rig import Site

ALONE = """
import sys
sys.path[:0] = {paths}
before = set(sys.modules)
from bayscribe_verify.cli import main
status = main(sys.argv[1:])
relays = {{"bayscribe_relay", "sqlalchemy", "soundfile", "numpy", "aiohttp", "websockets", "yaml"}}
loaded = {{name.split(".")[0] for name in set(sys.modules) - before}}
audio = [name for name in sys.modules if name.startswith("bayscribe.wire.payload")]
assert not loaded & relays and not audio, (loaded & relays, audio)
sys.exit(status)
"""


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path]:
    hospital = Hospital(tmp_path)
    hospital.record()
    hospital.admit()
    package, anchor = tmp_path / "package", tmp_path / "ca.pem"
    package.write_bytes(hospital.custody.package(STAY)[1])
    anchor.write_bytes(Issued(hospital.authority.certificate, None).pem())
    hospital.close()
    return package, anchor


def test_it_verifies_with_no_other_library_than_its_own(written: tuple[Path, Path]) -> None:
    package, anchor = written
    paths = [str(Path(str(module.__file__)).parents[1]) for module in (bayscribe, bayscribe_verify)]
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(paths=paths), package, "--trust", anchor],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "verified" in done.stdout


def test_every_problem_is_told_and_the_answer_is_no(
    written: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Issued(Authority.create("other").certificate, None).pem())
    assert main([str(written[0]), "--trust", str(other), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["verified"] is False
    assert len(said["problems"]) >= 2
    assert main([str(written[0]), "--trust", str(other)]) == 1
    assert capsys.readouterr().out.rstrip().endswith("DOES NOT VERIFY")


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_package_is_bad_input_in_one_line(
    written: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
) -> None:
    path = tmp_path / "nothing"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path), "--trust", str(written[1])]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([str(written[0]), "--trust", str(path)]) == 2


def test_the_relays_command_writes_what_the_verifier_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital(tmp_path)
    hospital.record()
    hospital.admit()
    hospital.close()
    site = Site(tmp_path)
    (tmp_path / "ca.pem").write_bytes(Issued(hospital.authority.certificate, None).pem())
    (tmp_path / "ca.key").unlink()
    from bayscribe_relay.pki import files

    (tmp_path / "ca.key").write_bytes(files.key_pem(hospital.authority.key))
    config = site.relay_file(8443)
    out = tmp_path / "out.bayscribe"
    wanted = ["custody", RECORDING, "--config", str(config), "--out", str(out)]
    assert relay(wanted) == 2
    assert "pki custody" in capsys.readouterr().err
    assert relay(["pki", "custody", "relay-1", "--dir", str(tmp_path)]) == 0
    config.write_text(
        config.read_text() + '[custody]\ncertificate = "relay-1.pem"\nkey = "relay-1.key"\n'
    )
    assert relay(wanted) == 0
    assert main([str(out), "--trust", str(tmp_path / "ca.pem")]) == 0
    assert out.stat().st_mode & 0o077 == 0
    clinical = ClinicalStore(hospital.url)
    assert [entry.action for entry in entries(clinical, STAY)] == [
        "stay-opened",
        "custody-exported",
    ]
    clinical.close()
    assert relay(["custody", "V-9", "--config", str(config), "--out", str(out)]) == 2
