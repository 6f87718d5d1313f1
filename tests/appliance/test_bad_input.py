"""Bad input: one clear line, exit status 2, nothing lost."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bayscribe.cli import main
from hil.bay import EXCERPT, SCENES, UNIT_TOML

PROFILE = SCENES / "circle-4-32mm.toml"


def _line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command prints."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def _process(recording: Path, out: Path, profile: Path | str = PROFILE) -> list[str]:
    return ["process", str(recording), "--array", str(profile), "--out", str(out)]


def _wav(path: Path, rate: int = 16_000, channels: int = 4, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, np.zeros((rate, channels)), rate, subtype=subtype)
    return path


def test_a_wrong_rate_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = _line(_process(_wav(tmp_path / "a.wav", rate=48_000), tmp_path / "out"), capsys)
    assert "48000" in line
    assert "16000" in line


def test_a_wrong_channel_count_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = _line(_process(_wav(tmp_path / "a.wav", channels=3), tmp_path / "out"), capsys)
    assert "3" in line
    assert "4" in line


def test_a_wrong_sample_format_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = _wav(tmp_path / "a.wav", subtype="PCM_24")
    assert "24" in _line(_process(recording, tmp_path / "out"), capsys)


def test_a_truncated_flac_is_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = EXCERPT.read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole[: len(whole) // 2])
    line = _line(_process(cut, tmp_path / "out"), capsys)
    assert "cut.flac" in line


def test_a_file_that_is_no_audio_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nonsense = tmp_path / "a.flac"
    nonsense.write_text("not audio")
    assert "a.flac" in _line(_process(nonsense, tmp_path / "out"), capsys)
    assert "none.wav" in _line(_process(tmp_path / "none.wav", tmp_path / "out"), capsys)


def test_an_unknown_array_is_answered_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = _line(_process(EXCERPT, tmp_path / "out", "respeaker-9000"), capsys)
    assert "respeaker-9000" in line
    assert "respeaker-usb-4mic-v2" in line


def test_an_output_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in _line(_process(EXCERPT, tmp_path / "file" / "out"), capsys)


def test_a_primary_that_is_not_enrolled_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*_process(EXCERPT, tmp_path / "out"), "--primary", "nobody"]
    assert "nobody" in _line(words, capsys)


def test_a_voice_of_silence_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silence = _wav(tmp_path / "v.wav", channels=1)
    words = [*_process(EXCERPT, tmp_path / "out"), "--enrol", f"clinician={silence}"]
    assert "clinician" in _line(words, capsys)


def _config(folder: Path, text: str) -> list[str]:
    path = folder / "unit.toml"
    path.write_text(text)
    return ["run", "--config", str(path)]


GOOD = UNIT_TOML.format(
    port=1, device="bay-07", pcm="none", out="/nonexistent", profile=PROFILE, enrolment="v.flac"
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[unit]", "[unit", "not valid TOML"),
        ('site = "demo"', "", "unit.site: is missing"),
        ('site = "demo"', 'site = "demo"\nsiet = 1', "unit.siet: is not a known key"),
        ('mode = "always"', 'mode = "sometimes"', "encounter.mode: found 'sometimes'"),
        ('pcm = "none"', 'pcm = "none"\nperiods = 0', "array.periods: found 0"),
        ('url = "wss:', 'url = "http:', "uplink.url: found 'http:"),
        ('primary = "clinician"', 'primary = "nobody"', "primary: found 'nobody'"),
    ],
)
def test_a_broken_configuration_names_file_key_value_and_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    line = _line(_config(tmp_path, GOOD.replace(old, new)), capsys)
    assert "unit.toml" in line
    assert told in line


def test_a_missing_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "none.toml" in _line(["run", "--config", str(tmp_path / "none.toml")], capsys)
