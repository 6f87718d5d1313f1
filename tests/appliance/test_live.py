"""The daemon on a real ALSA PCM, beside the offline run over the same recording."""

import json
import time
from pathlib import Path

import pytest

from bayscribe.cli import main
from hil.bay import EXCERPT, VOICE, Bay

pytestmark = pytest.mark.slow


def _await_state(bay: Bay, key: str, value: object, patience_s: float = 20) -> None:
    end = time.monotonic() + patience_s
    while bay.state().get(key) != value:
        assert time.monotonic() < end, f"{key} is {bay.state().get(key)!r}, not {value!r}"
        time.sleep(0.05)


def test_the_daemon_and_the_offline_run_give_the_same_audio_to_the_bit(
    bay: Bay, tmp_path: Path
) -> None:
    bay.start_relay()
    unit = bay.start_unit()
    bay.play(EXCERPT)
    unit.stop()
    device = bay.closed_device()
    assert device["verified"] is True
    live = [row["pcm_sha256"] for row in device["encounters"][-1]["segment_list"]]
    out = tmp_path / "offline"
    words = ["process", str(EXCERPT), "--array", str(bay.profile), "--out", str(out)]
    assert main([*words, "--enrol", f"clinician={VOICE}", "--primary", "clinician"]) == 0
    rows = (out / "segments.jsonl").read_text().splitlines()
    assert [json.loads(row)["pcm_sha256"] for row in rows] == live
    assert bay.state()["overruns"] == 0


def test_a_relay_that_is_away_costs_nothing(bay: Bay) -> None:
    unit = bay.start_unit()
    bay.play(EXCERPT)
    unit.stop()
    assert bay.state()["pending"] >= 3
    bay.start_relay()
    bay.start_unit()
    _await_state(bay, "link", "streaming")
    bay.services["appliance"].stop()
    device = bay.closed_device()
    assert device["verified"] is True
    assert device["encounters"][0]["samples"] > 10.5 * 16_000


def test_an_unplugged_array_leaves_a_gap_and_comes_back(bay: Bay) -> None:
    bay.start_relay()
    unit = bay.start_unit()
    bay.play(EXCERPT, "--fault", "t=4.0 unplugged 2.5")
    unit.stop()
    encounter = bay.closed_device()["encounters"][-1]
    assert abs(encounter["gap_samples"] / 16_000 - 2.5) < 0.5
    assert bay.state()["state"] in {"recording", "idle", "fault"}


def test_an_overrun_becomes_a_gap_of_its_own_length(bay: Bay) -> None:
    bay.start_relay()
    unit = bay.start_unit()
    played = json.loads(bay.play(EXCERPT, "--fault", "t=4.0 overrun 0.3"))
    unit.stop()
    encounter = bay.closed_device()["encounters"][-1]
    assert played["lost"] >= 0.3 * 16_000
    assert abs(encounter["gap_samples"] - played["lost"]) <= 640
    assert bay.state()["overruns"] == 1
