"""``bayscribe check`` on a whole bay: alone with the array, and beside the daemon."""

import json
import os
import subprocess
import threading
import time
from typing import Any

import pytest

from bayscribe.cli import main
from hil.bay import BIN, EXCERPT, Bay

pytestmark = pytest.mark.slow


def ask(bay: Bay, *words: str) -> tuple[int, dict[str, Any]]:
    command = [str(BIN / "bayscribe"), "check", "--json", *words]
    command += ["--config", str(bay.unit / "bayscribe.toml")]
    environment = os.environ | bay.environment
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def codes(report: dict[str, Any]) -> set[str]:
    return {one["code"] for one in (*report["problems"], *report["seen"])}


def playing(bay: Bay, *arguments: str) -> threading.Thread:
    thread = threading.Thread(target=bay.play, args=(EXCERPT, *arguments))
    thread.start()
    return thread


def drain(bay: Bay, player: threading.Thread) -> None:
    """Let a daemon-less recording come to its end."""
    bay.start_unit()
    player.join()


def test_a_sound_unit_may_go_live_and_a_dead_microphone_keeps_it_from_it(bay: Bay) -> None:
    bay.start_relay()
    player = playing(bay)
    status, report = ask(bay)
    assert (status, report["source"], report["device"]) == (0, "command", "bay-07")
    assert codes(report) <= {"clock-unsynchronised", "not-commissioned"}
    assert all(30 < level < 110 for level in report["figures"]["array"]["levels_db_spl"])
    drain(bay, player)
    bay.services["appliance"].stop()
    player = playing(bay, "--fault", "t=0.5 dead 2")
    status, report = ask(bay)
    assert status == 1
    assert {(one["code"], one["subject"]) for one in report["problems"]} >= {
        ("microphone-dead", "2")
    }
    drain(bay, player)


def test_without_a_relay_only_the_units_own_work_passes(bay: Bay) -> None:
    player = playing(bay)
    status, report = ask(bay)
    assert status == 1
    assert "relay-away" in codes(report)
    assert report["own_work_ok"] is True
    drain(bay, player)


def test_a_running_daemon_is_asked(bay: Bay) -> None:
    bay.start_relay()
    bay.start_unit()
    player = playing(bay)
    status, report = ask(bay)
    end = time.monotonic() + 30
    while status != 0:
        assert time.monotonic() < end, report
        status, report = ask(bay)
    assert report["source"] == "daemon"
    assert {check["name"] for check in report["checks"]} >= {"relay", "buffer", "overload"}
    player.join()
    bay.services["relay"].stop()
    while "relay-away" not in codes(report):
        assert time.monotonic() < end + 30, report
        status, report = ask(bay)
    assert status == 1


def test_no_array_is_said_in_one_report(bay: Bay, capsys: pytest.CaptureFixture[str]) -> None:
    config = bay.unit / "bayscribe.toml"
    config.write_text(config.read_text().replace('pcm = "bay07"', 'pcm = "hw:CARD=Nowhere"'))
    assert main(["check", "--config", str(config), "--offline"]) == 1
    out = capsys.readouterr().out
    assert "[array-absent]" in out
    assert out.rstrip().endswith("bay-07: must not go live")


def test_a_missing_configuration_is_bad_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", "/nowhere/bayscribe.toml"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
