"""Known voices: sealed at rest, listed without a voiceprint, deleted with proof."""

import hashlib
import logging
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.assembly import Assembly
from bayscribe.audio.profiles import load_profile
from bayscribe.diarize.enrol import Voiceprint
from bayscribe.errors import BadUse, BayscribeError
from bayscribe.stream import Block
from bayscribe.units import SampleIndex
from bayscribe.voices.desk import VoiceDesk
from bayscribe.voices.store import VoiceStore
from hil.bay import SCENES, VOICE

PROFILE = SCENES / "circle-4-32mm.toml"
CANARY = "dr-quillfeather"


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def voice(label: str = CANARY) -> Voiceprint:
    windows = np.random.default_rng(7).normal(size=(5, 192)).astype(np.float32)
    return Voiceprint(label, windows, windows.mean(axis=0))


def test_a_voice_comes_back_as_it_was_and_only_with_the_units_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = VoiceStore(tmp_path, key()).add(voice())
    (found,) = VoiceStore(tmp_path, key()).load()
    assert found.print.label == CANARY
    assert np.array_equal(found.print.windows, voice().windows)
    assert np.array_equal(found.print.anchor, voice().anchor)
    stranger = VoiceStore(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    assert stranger.load() == []
    assert "does not open" in caplog.text
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_the_disk_holds_neither_label_nor_voiceprint(tmp_path: Path) -> None:
    name = VoiceStore(tmp_path, key()).add(voice())
    content = (tmp_path / name).read_bytes()
    assert CANARY not in name
    assert CANARY.encode() not in content
    assert voice().anchor.tobytes()[:16] not in content


@pytest.mark.parametrize("at", [0, 5, 40, 60, -1])
def test_a_voice_that_was_touched_does_not_open(tmp_path: Path, at: int) -> None:
    store = VoiceStore(tmp_path, key())
    path = tmp_path / store.add(voice())
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert store.load() == []


def test_a_voice_under_another_ones_name_does_not_open(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path, key())
    one, two = store.add(voice("one")), store.add(voice("two"))
    (tmp_path / one).write_bytes((tmp_path / two).read_bytes())
    assert [found.print.label for found in store.load()] == ["two"]


def test_deleting_overwrites_removes_and_is_proved_by_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = VoiceStore(tmp_path, key())
    path = tmp_path / store.add(voice())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = tmp_path / "link"
    kept.hardlink_to(path)
    with caplog.at_level(logging.WARNING, "bayscribe.voices"):
        assert store.delete(CANARY) == digest
    assert not path.exists()
    assert set(kept.read_bytes()) == {0}
    assert any(getattr(row, "sealed_sha256", "") == digest for row in caplog.records)
    assert CANARY not in caplog.text
    with pytest.raises(BadUse):
        store.delete(CANARY)


@pytest.mark.parametrize("label", ["", "a b", "unknown-1", "x" * 65, "../up"])
def test_labels_that_cannot_stand_in_a_turn_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(BadUse):
        VoiceStore(tmp_path, key()).add(voice(label))


class Unit:
    """The daemon's part: audio between encounters, and somebody who asks."""

    def __init__(self, folder: Path) -> None:
        self.assembly = Assembly(load_profile(str(PROFILE)).geometry, (), None)
        self.desk = VoiceDesk(VoiceStore(folder, key()), (), self.assembly.pipeline)
        self.answer: dict[str, object] = {}
        self.problem: BayscribeError | None = None

    def ask(self, **request: str) -> threading.Thread:
        def run() -> None:
            try:
                self.answer = dict(self.desk.handlers()["voices-add"](request))
            except BayscribeError as error:
                self.problem = error

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def speak(self, thread: threading.Thread) -> None:
        mono = soundfile.read(VOICE, dtype="int16")[0]
        pcm = np.repeat(mono[:, None], 4, axis=1)
        at = 0
        while thread.is_alive():
            self.desk.push(Block(SampleIndex(at), np.ascontiguousarray(pcm[:6400])))
            pcm, at = np.roll(pcm, -6400, axis=0), at + 6400
        thread.join()


def test_a_voice_is_enrolled_at_the_unit_and_nothing_of_the_sound_is_kept(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    thread = unit.ask(label="nurse-a", seconds="15")
    unit.speak(thread)
    assert unit.problem is None
    assert [one.label for one in unit.desk.voiceprints] == ["nurse-a"]
    files = list(tmp_path.iterdir())
    assert [file.name for file in files] == [unit.answer["file"]]
    assert files[0].stat().st_size < 100_000
    said = unit.desk.handlers()["voices-delete"]({"label": "nurse-a"})
    assert said["until_encounter_ends"] is False
    assert unit.desk.voiceprints == ()


def test_an_encounter_has_precedence(tmp_path: Path) -> None:
    unit = Unit(tmp_path)
    thread = unit.ask(label="nurse-a", seconds="15")
    while unit.desk._running is None:
        assert thread.is_alive()
    unit.desk.recording(True)
    thread.join(30)
    assert getattr(unit.problem, "code", "") == "encounter-opened"
    unit.problem = None
    unit.ask(label="nurse-a", seconds="15").join(30)
    assert getattr(unit.problem, "code", "") == "encounter-opened"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", ["14", "61", "many", "-20"])
def test_an_enrolment_is_15_to_60_seconds(tmp_path: Path, seconds: str) -> None:
    unit = Unit(tmp_path)
    unit.ask(label="nurse-a", seconds=seconds).join(30)
    assert isinstance(unit.problem, BadUse)
