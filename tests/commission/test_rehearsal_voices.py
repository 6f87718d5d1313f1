"""The rehearsal knows the voices that were enrolled on the unit, as the daemon does."""

from functools import cache
from pathlib import Path

import pytest
import soundfile
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.commission.bench import Bench
from bayscribe.commission.engine import Answers, Field, Step
from bayscribe.commission.outcome import Outcome
from bayscribe.commission.pages import overview
from bayscribe.commission.session import StepView
from bayscribe.commission.steps import NOBODY, all_steps
from bayscribe.config import load_config
from bayscribe.diarize.enrol import Voiceprint, enrol
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.voice import VoiceEncoder
from bayscribe.stream import Block
from bayscribe.units import SampleIndex
from bayscribe.voices.store import VoiceStore
from commission.bay_sounds import PROFILE_PATH, SCENES
from commission.unboxed import CONFIG, SOUNDS


@cache
def voice(name: str) -> Voiceprint:
    pcm, _ = soundfile.read(SCENES / "sepsis-4mic-70db" / f"enrol_{name}.flac", dtype="int16")
    return enrol(f"dr-{name}", pcm, VoiceEncoder(load_network("speaker")))


def a_unit(folder: Path, configuration: str = "") -> Bench:
    """A unit with a key and two voices in its store."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "device.key").write_bytes(pem)
    for name in ("clinician", "nurse"):
        VoiceStore(folder / "state" / "voices", key).add(voice(name))
    path = folder / "bayscribe.toml"
    path.write_text(configuration + CONFIG.format(folder=folder, profile=PROFILE_PATH))
    return Bench.of(load_config(path), path)


def voices_step(bench: Bench) -> Step:
    steps = all_steps(bench, lambda _answers: Outcome(True, ""))
    return next(step for step in steps if step.id == "voices")


def rehearse(step: Step, answers: Answers) -> Outcome:
    measurement = step.begin(answers)
    assert not isinstance(measurement, Outcome)
    sound = SOUNDS["voices"]()
    for at in range(0, len(sound), 1600):
        outcome = measurement.push(Block(SampleIndex(at), sound[at : at + 1600]))
        if outcome is not None:
            return outcome
    raise AssertionError("the sound was too short")


@pytest.mark.slow
def test_an_enrolled_voice_is_heard_by_its_name_and_another_one_is_not_it(tmp_path: Path) -> None:
    step = voices_step(a_unit(tmp_path))
    asked = step.fields[0]
    assert asked.choices == (NOBODY, "dr-clinician", "dr-nurse")
    assert asked.default == NOBODY
    right = rehearse(step, {"first": "dr-clinician"})
    assert right.passed, right.words
    assert right.words.startswith("dr-clinician, then ")
    wrong = rehearse(step, {"first": "dr-nurse"})
    assert not wrong.passed
    assert wrong.words == "dr-nurse was heard as dr-clinician"
    assert "bayscribe voices add" in wrong.advice


def test_the_primary_voice_is_offered_first_also_when_nobody_has_enrolled_it(
    tmp_path: Path,
) -> None:
    def asked(primary: str) -> Field:
        folder = tmp_path / primary
        folder.mkdir()
        return voices_step(a_unit(folder, f'primary = "{primary}"\n')).fields[0]

    assert asked("dr-nurse").default == "dr-nurse"
    absent = asked("dr-absent")
    assert absent.default == "dr-absent"
    assert absent.choices == (NOBODY, "dr-absent", "dr-clinician", "dr-nurse")


@pytest.mark.parametrize("key", [None, b"", b"-----BEGIN NONSENSE-----"])
def test_a_unit_without_a_usable_key_asks_for_nobody(tmp_path: Path, key: bytes | None) -> None:
    bench = a_unit(tmp_path)
    if key is None:
        (tmp_path / "device.key").unlink()
    else:
        (tmp_path / "device.key").write_bytes(key)
    assert voices_step(bench).fields == ()


def test_the_page_offers_the_voices_and_no_others(tmp_path: Path) -> None:
    step = voices_step(a_unit(tmp_path))
    view = StepView(step.id, step.title, "waiting", "", "", 0, may_skip=True)
    text = overview([view], step, listening=False, token="t" * 32, message="")
    assert '<select name="first"><option selected>?</option><option>dr-clinician</option>' in text
