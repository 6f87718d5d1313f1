"""The committed recordings are what their manifest, truth and README say."""

import hashlib
import itertools
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
SCENES = {"sepsis-4mic-70db": "circle-4-32mm", "sepsis-6mic-60db": "circle-6-46mm"}
RATE = 16_000


def _truth(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((HERE / name / "scene.json").read_text(encoding="utf-8"))
    return data


def _audio(path: Path) -> NDArray[np.float32]:
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return np.asarray(x)


def _rttm(path: Path) -> list[tuple[str, float, float, str]]:
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(len(r) == 10 and r[0] == "SPEAKER" for r in rows)
    return [(r[1], float(r[3]), float(r[3]) + float(r[4]), r[7]) for r in rows]


def _db_spl(x: NDArray[np.float32]) -> float:
    return 10.0 * math.log10(float(np.mean(np.square(x, dtype=np.float64)))) + 120.0


def test_every_file_is_the_one_in_the_manifest() -> None:
    rows = (HERE / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (row.split("  ") for row in rows)}
    present = {
        p.relative_to(HERE).as_posix()
        for p in HERE.rglob("*")
        if p.suffix in {".flac", ".rttm", ".json", ".npz", ".toml"}
    }
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((HERE / name).read_bytes()).hexdigest() == digest, name


def test_the_recordings_stay_small_enough_to_carry_along() -> None:
    total = sum(p.stat().st_size for p in HERE.rglob("*") if p.is_file())
    assert total < 15_000_000


@pytest.mark.parametrize(("name", "profile"), SCENES.items())
def test_microphones_match_the_profile_and_the_truth(name: str, profile: str) -> None:
    truth = _truth(name)
    array = tomllib.loads((HERE / f"{profile}.toml").read_text(encoding="utf-8"))
    info = soundfile.info(HERE / name / "mics.flac")
    assert info.samplerate == array["sample_rate"] == truth["fs"] == RATE
    assert info.subtype == "PCM_16"
    assert info.channels == array["alsa_channels"] == truth["n_mics"]
    assert info.frames == truth["duration"] * RATE
    xyz = np.array([[m["x"], m["y"], m["z"]] for m in array["microphones"]])
    u, v = np.array(truth["axis_u"]), np.array(truth["axis_v"])
    placed = xyz[:, :1] * u + xyz[:, 1:2] * v + np.array(truth["array_centre"])
    np.testing.assert_allclose(placed, truth["mic_positions"], atol=1e-5)


@pytest.mark.parametrize("name", SCENES)
def test_the_bed_lies_at_its_level(name: str) -> None:
    truth = _truth(name)
    x = _audio(HERE / name / "mics.flac")
    quiet = np.ones(len(x), dtype=bool)
    for turn in truth["turns"]:
        quiet[turn["start_sample"] : turn["end_sample"] + RATE // 2] = False
    for event in truth["events"]:
        quiet[int(event["start"] * RATE) : int((event["end"] + 0.5) * RATE)] = False
    assert quiet.sum() > RATE
    assert _db_spl(x[quiet]) == pytest.approx(truth["noise_bed_dbspl"], abs=1.5)
    assert np.abs(x).max() < 0.5


@pytest.mark.parametrize("name", SCENES)
def test_talkers_are_as_loud_as_the_truth_says(name: str) -> None:
    truth = _truth(name)
    x = _audio(HERE / name / "mics.flac")[:, 0]
    spans = [s for t in truth["turns"] for s in t["vad"]]
    spoken = np.concatenate([x[int(a * RATE) : int(b * RATE)] for a, b in spans])
    both = 10 * math.log10(
        10 ** (truth["speech_at_mic0_dbspl"] / 10) + 10 ** (truth["noise_with_events_dbspl"] / 10)
    )
    assert _db_spl(spoken) == pytest.approx(both, abs=1.5)
    expected = 0.0 if truth["noise_bed_dbspl"] > 65 else 9.0
    assert truth["median_turn_snr_db"] == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("name", SCENES)
def test_reference_turns_and_script_agree(name: str) -> None:
    truth = _truth(name)
    rttm = _rttm(HERE / name / "ref.rttm")
    script = json.loads((HERE / name / "script.json").read_text(encoding="utf-8"))
    spans = sorted((a, b, t["talker"]) for t in truth["turns"] for a, b in t["vad"])
    assert [r[3] for r in rttm] == [s[2] for s in spans]
    np.testing.assert_allclose(
        [[r[1], r[2]] for r in rttm], [[a, b] for a, b, _ in spans], atol=2e-3
    )
    assert {r[3] for r in rttm} == set(truth["talkers"])
    assert len(truth["talkers"]) >= 4
    assert max(r[2] for r in rttm) <= truth["duration"]
    assert 0.05 <= truth["overlap_fraction"] <= 0.15
    for turn, said in zip(truth["turns"], script["turns"], strict=True):
        assert turn["text"] == " ".join(s["text"] for s in said["sentences"])
        times = [t for s in said["sentences"] for t in (s["start"], s["end"])]
        assert times == sorted(times)
        assert turn["start"] - 0.002 <= times[0]
        assert times[-1] <= turn["end"] + 0.002


@pytest.mark.parametrize("name", SCENES)
def test_nobody_talks_over_themselves(name: str) -> None:
    rows = _rttm(HERE / name / "ref.rttm")
    for label in {r[3] for r in rows}:
        own = sorted((a, b) for _, a, b, who in rows if who == label)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(own))


@pytest.mark.parametrize("name", SCENES)
def test_the_azimuth_track_follows_from_the_geometry(name: str) -> None:
    truth = _truth(name)
    u, v = np.array(truth["axis_u"]), np.array(truth["axis_v"])
    for turn in truth["turns"]:
        if turn["walking"] or turn["segments"][0][2] == "clinB":
            continue
        where = np.array(truth["talkers"][turn["talker"]]["position"])
        d = where - np.array(truth["array_centre"])
        azimuth = math.degrees(math.atan2(d @ v, d @ u)) % 360.0
        assert turn["azimuth"][0][2] == pytest.approx(azimuth, abs=0.01)


def test_the_clinician_walks_in_one_scene() -> None:
    moved = [t for t in _truth("sepsis-4mic-70db")["turns"] if t["walking"]]
    assert moved
    assert all(len(t["azimuth"]) > 4 for t in moved)


@pytest.mark.parametrize("name", SCENES)
def test_the_sepsis_case_is_said_and_its_gaps_are_not(name: str) -> None:
    text = " ".join(t["text"] for t in _truth(name)["turns"]).lower()
    for said in ("blood cultures", "lactate", "two litres", "sixty eight kilos", "four point two"):
        assert said in text
    for unsaid in ("thirty eight point four", "one hundred and twelve", "one twelve", "38", "112"):
        assert unsaid not in text


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("role", ["clinician", "nurse"])
def test_enrolments_are_clean_and_long_enough(name: str, role: str) -> None:
    x = _audio(HERE / name / f"enrol_{role}.flac")
    assert x.shape[1] == 1
    assert 20.0 <= len(x) / RATE <= 35.0
    assert 0.01 < float(np.sqrt(np.mean(np.square(x)))) < 0.2
    assert np.abs(x).max() < 0.99


def test_the_excerpt_is_cut_from_the_scene() -> None:
    folder = HERE / "excerpt-4mic-70db"
    about = json.loads((folder / "excerpt.json").read_text(encoding="utf-8"))
    whole = _audio(HERE / about["scene"] / "mics.flac")
    cut = _audio(folder / "mics.flac")
    first = int(about["start"] * RATE)
    np.testing.assert_array_equal(cut, whole[first : first + len(cut)])
    assert len(cut) == int(about["seconds"] * RATE)
    assert len({r[3] for r in _rttm(folder / "ref.rttm")}) >= 2
