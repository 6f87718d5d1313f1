"""From a unit without a key to a unit that may go live, as the guide has it, by script."""

import json
from pathlib import Path

import pytest

from commission.unboxed import SOUNDS, Unboxed
from enrol.provision_site import DEVICE
from hil.unboxed import UnboxedRun

pytestmark = pytest.mark.slow


def test_unboxed_to_live(unboxed: Unboxed) -> None:
    run = UnboxedRun(unboxed)
    run.to_live(run.site())
    verdicts = run.verdicts
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
    commissioning = next(one for one in run.report["checks"] if one["name"] == "commissioning")
    assert commissioning["severity"] == "ok"
    assert list(run.seconds)[-3:] == ["run", "check", "first segment"]


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
