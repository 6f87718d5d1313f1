"""``bayscribe-relay feed``: what an interface analyst asks."""

import json
from pathlib import Path

import pytest

from bayscribe_relay.cli import main
from emr_feed.hospital import Hospital


def relay_file(folder: Path) -> Path:
    path = folder / "relay.toml"
    path.write_text('[store]\nurl = "sqlite:///relay.db"\n[feed]\nsite = "demo"\n')
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    status = main(["feed", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_unmapped_codes_are_listed_without_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital(tmp_path)
    hospital.admit()
    for value in ("31337", "42424"):
        hospital.send("ORU^R01", f"OBX|1|NM|ODD^Odd thing^L||{value}||||||F")
    hospital.send("RAS^O17", "RXA|0|1|20261123123000||V^vancomycin 1 g^L|1|g", "RXR|IV")
    hospital.close()
    status, text = told(capsys, "unmapped", "--config", relay_file(tmp_path))
    assert status == 0
    assert "ODD" in text
    assert "med.iv_antibiotic" in text
    assert "31337" not in text
    _, text = told(capsys, "unmapped", "--json", "--config", relay_file(tmp_path))
    first = json.loads(text)["unmapped"][0]
    assert (first["code"], first["times"], first["context"]) == ("ODD", 2, "result")


def test_parked_messages_are_listed_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = Hospital(tmp_path)
    hospital.admit(mrn="1")
    hospital.send("ORU^R01", "OBX|1|NM|8867-4^HR^LN||88||||||F", mrn="2")
    hospital.close()
    path = relay_file(tmp_path)
    _, text = told(capsys, "parked", "--json", "--config", path)
    (parked,) = json.loads(text)["parked"]
    assert parked["reason"].startswith("patient-mismatch")
    status, _ = told(capsys, "replay", str(parked["n"]), "--config", path)
    assert status == 0
    _, text = told(capsys, "status", "--json", "--config", path)
    assert json.loads(text)["messages"] == {"done": 1, "received": 1}
    assert main(["feed", "replay", "--config", str(path)]) == 2
    assert "give numbers" in capsys.readouterr().err


def test_a_file_without_a_feed_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bare.toml").write_text("")
    assert main(["feed", "status", "--config", str(tmp_path / "bare.toml")]) == 2
    assert "feed: is missing" in capsys.readouterr().err
