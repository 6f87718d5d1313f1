"""From a unit without a key to a unit that may go live, as the guide has it, by script."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commission.bay_sounds import room
from commission.unboxed import SOUNDS, Unboxed
from enrol.provision_site import DEVICE, running
from hil.bay import BIN

pytestmark = pytest.mark.slow


@pytest.fixture
def unboxed(tmp_path: Path) -> Iterator[Unboxed]:
    made = Unboxed(tmp_path)
    yield made
    made.close()


def commission(unit: Unboxed, answers: dict[str, Any]) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the script, play what each step wants to hear; exit status and verdicts."""
    script = unit.folder / "answers.json"
    script.write_text(json.dumps(answers))
    process = unit.bayscribe("commission", "--json", str(script))
    verdicts: dict[str, dict[str, Any]] = {}
    players: list[threading.Thread] = []
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "listening":
            for player in players:
                player.join()
            players.append(unit.play(SOUNDS[event["step"]]()))
        elif event["event"] in ("verdict", "skipped"):
            verdicts[event["step"]] = event
    process.stdout.close()
    status = process.wait(60)
    unit.ended.set()
    for player in players:
        player.join()
    unit.ended.clear()
    return status, verdicts


def check(unit: Unboxed) -> tuple[int, dict[str, Any]]:
    command = [str(BIN / "bayscribe"), "check", "--json", "--config", str(unit.config)]
    environment = os.environ | unit.environment
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    return done.returncode, json.loads(done.stdout)


def test_unboxed_to_live(unboxed: Unboxed) -> None:
    unboxed.start_relay()
    with running(unboxed.site.configuration()) as port:
        order = unboxed.folder / "enrol.toml"
        order.write_text(unboxed.site.order(port))
        answers = {
            "steps": {
                "level": {"reference_db_spl": 94},
                "identity": {"order": str(order)},
                "report": {"operator": "R. Biomed", "asset": "4711"},
            }
        }
        status, verdicts = commission(unboxed, answers)
    words = {step: verdict.get("words") for step, verdict in verdicts.items()}
    assert status == 0, json.dumps(words)
    assert len(verdicts) == 13
    assert abs(verdicts["bed"]["figures"]["azimuth_deg"] - 20) < 10
    assert abs(verdicts["reverberation"]["figures"]["rt60_s"] - 0.5) < 0.05
    assert verdicts["identity"]["figures"]["device"] == DEVICE
    folder = Path(verdicts["report"]["figures"]["folder"])
    assert {path.name for path in folder.iterdir()} == {
        "results.json",
        "report.html",
        "report.pdf",
        "signature.json",
    }
    assert (unboxed.unit / "device.key").stat().st_mode & 0o077 == 0
    verify = unboxed.bayscribe("commission", "--verify")
    assert "the signature is good" in verify.communicate(timeout=60)[0]
    _goes_live(unboxed)


def _goes_live(unboxed: Unboxed) -> None:
    unboxed.start_daemon()
    player = unboxed.play(room(20.0))
    status, report = check(unboxed)
    end = time.monotonic() + 60
    while status != 0:
        assert time.monotonic() < end, report
        status, report = check(unboxed)
    assert report["source"] == "daemon"
    commissioning = next(one for one in report["checks"] if one["name"] == "commissioning")
    assert commissioning["severity"] == "ok"
    unboxed.ended.set()
    player.join()


def test_a_step_that_fails_ends_the_script_and_says_why(unboxed: Unboxed) -> None:
    sound = SOUNDS["array"]()
    sound[:, 1] = 0
    script = unboxed.folder / "answers.json"
    script.write_text("{}")
    process = unboxed.bayscribe("commission", "--json", str(script))
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"event": "listening", "step": "array"}
    player = unboxed.play(sound)
    said = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    assert process.wait(60) == 1
    assert said[0]["passed"] is False
    assert "microphone 1 is dead" in said[0]["words"]
    assert said[-1] == {"event": "ended", "passed": False}
    unboxed.ended.set()
    player.join()
