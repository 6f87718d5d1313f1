"""Sound through ALSA, ducking, and outcomes that survive."""

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bayscribe.assembly import Assembly
from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.profiles import ArrayProfile, Microphone, load_profile
from bayscribe.diarize.interpreter import load_network
from bayscribe.diarize.speech import VoiceActivity
from bayscribe.errors import AudioFormatError, CaptureError
from bayscribe.pipeline import Output
from bayscribe.prompts.bay import BayPrompts
from bayscribe.prompts.chime import RATE, chime
from bayscribe.prompts.clip import Clip, chime_clip, speech_clip
from bayscribe.prompts.config import BayPromptsConfig
from bayscribe.prompts.duck import Duck
from bayscribe.prompts.outcomes import OutcomeBook
from bayscribe.prompts.playback import AlsaSink, Player
from bayscribe.stream import Block, FaultCode, Pcm
from bayscribe.units import SAMPLE_RATE, SampleIndex
from bayscribe.wire.messages import Prompt, PromptOutcome, PromptWithdrawn
from hil.bay import EXCERPT, SCENES

NEVER = 2**62


def wav(seconds: float, rate: int, channels: int = 1, form: str = "WAV") -> bytes:
    tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, 1), rate, format=form, subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def file_pcm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ALSA's own file PCM behind plug: what is played ends in a raw file of 48 kHz mono."""
    heard = tmp_path / "heard.raw"
    configuration = tmp_path / "asound.conf"
    configuration.write_text(
        "</usr/share/alsa/alsa.conf>\n"
        "pcm.tofile { type file  slave.pcm null  format raw  file " + f'"{heard}" }}\n'
        "pcm.speaker { type plug  slave { pcm tofile  rate 48000  channels 1  format S16_LE } }\n"
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    return heard


def test_the_chime_is_gentle_and_short() -> None:
    sound = chime().astype(np.float64) / 32768
    assert len(sound) <= 0.8 * RATE
    assert 0.1 < np.abs(sound).max() < 0.13
    assert np.abs(sound[:10]).max() < 0.01
    assert np.abs(sound[-10:]).max() < 0.01
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    assert power[hertz > 2000].sum() < 0.001 * power.sum()


@pytest.mark.parametrize(("rate", "channels"), [(22_050, 1), (16_000, 2), (48_000, 1)])
def test_speech_of_any_rate_reaches_the_loudspeaker_whole(
    file_pcm: Path, rate: int, channels: int
) -> None:
    clip = speech_clip(wav(0.5, rate, channels))
    AlsaSink("speaker").play(clip, threading.Event())
    heard = np.fromfile(file_pcm, "<i2").astype(np.float64)
    assert abs(len(heard) / 48_000 - 0.5) < 0.1
    spectrum = np.abs(np.fft.rfft(heard))
    assert abs(spectrum.argmax() * 48_000 / len(heard) - 440) < 5


@pytest.mark.parametrize("bad", [b"", b"no sound at all", wav(21.0, 8_000), wav(0.1, 16_000)[:30]])
def test_speech_that_is_none_is_refused(bad: bytes) -> None:
    with pytest.raises(AudioFormatError):
        speech_clip(bad)


def test_a_loudspeaker_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(CaptureError) as caught:
        AlsaSink("hw:CARD=NoSuchCard").play(chime_clip(), threading.Event())
    assert caught.value.code == "playback"


def test_the_duck_covers_playback_what_the_device_still_holds_and_the_rooms_tail() -> None:
    now = [10**9]
    duck = Duck(lambda: now[0])
    assert not duck.covers(0, 2 * 10**9)
    duck.begin()
    now[0] = 2 * 10**9
    assert duck.covers(19 * 10**8, 2 * 10**9)
    assert not duck.covers(5 * 10**8, 9 * 10**8)
    duck.end(sounds_for_s=0.5)
    assert duck.covers(27 * 10**8, 29 * 10**8)
    assert not duck.covers(281 * 10**7, 29 * 10**8)


class Speaker:
    """Sounds for as long as the test says."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.played: list[Clip] = []
        self.release = threading.Event()

    def play(self, clip: Clip, stop: threading.Event) -> float:
        if self.problem:
            raise CaptureError(self.problem)
        self.played.append(Clip(clip.pcm, clip.rate))
        while not (self.release.wait(0.01) or stop.is_set()):
            pass
        return 0.0


class Room:
    """The daemon's part: a stream of blocks, the line's verdict, and the relay's ear."""

    def __init__(self, folder: Path, speaker: Speaker | None, **config: float) -> None:
        self.told: list[PromptOutcome] = []
        self.activity = VoiceActivity(load_network("speech"))
        self.bay = BayPrompts(
            BayPromptsConfig(**config),  # type: ignore[arg-type]  # figures, by their names
            folder,
            self.told.append,
            self.activity,
            speaker,
        )
        self.at = 0
        self.recording = True
        self.bay.start()

    def silence(self) -> None:
        """40 ms in which nobody speaks."""
        from bayscribe.stream import SpeechFrame

        pcm = np.zeros((640, 4), np.int16)
        block = Block(SampleIndex(self.at), pcm, time.monotonic_ns())
        ends = range(self.at // 512 * 512 + 512, self.at + 641, 512)
        self.at += 640
        output = Output(speech=[SpeechFrame(SampleIndex(end), 0.01) for end in ends])
        self.bay.hear(block, output, analysed=not self.bay.ducks(block))
        self.bay.step(recording=self.recording, muted=False)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            self.silence()
            time.sleep(0.005)

    def outcomes(self) -> list[tuple[str, str, str]]:
        return [(one.id, one.outcome, one.reason) for one in self.told]


def ask(ident: str, speech: bytes | None = None) -> Prompt:
    return Prompt(id=ident, text="Lactate again?", speech=speech, expires_wall_ns=NEVER)


def test_a_prompt_sounds_as_chime_and_speech_and_is_reported_once(tmp_path: Path) -> None:
    speaker = Speaker()
    speaker.release.set()
    room = Room(tmp_path, speaker, level_db=-6.0)
    room.bay.post(ask("p1", wav(0.3, 22_050)))
    room.bay.post(ask("p1", wav(0.3, 22_050)))
    room.until(lambda: bool(room.told))
    assert room.outcomes() == [("p1", "played", "")]
    assert [clip.rate for clip in speaker.played] == [RATE, 22_050]
    assert np.abs(speaker.played[0].pcm).max() < 0.55 * np.abs(chime()).max()
    room.bay.stop()


def test_while_it_sounds_the_unit_does_not_listen(tmp_path: Path) -> None:
    speaker = Speaker()
    room = Room(tmp_path, speaker)
    room.bay.post(ask("p1"))
    room.until(lambda: bool(speaker.played))
    now = time.monotonic_ns()
    pcm = np.zeros((640, 4), np.int16)
    assert room.bay.ducks(Block(SampleIndex(0), pcm, now))
    speaker.release.set()
    room.until(lambda: bool(room.told))
    later = time.monotonic_ns() + 3 * 10**9
    assert not room.bay.ducks(Block(SampleIndex(0), pcm, later))
    assert room.bay.ducks(Block(SampleIndex(0), pcm, later, playback=True))
    room.bay.stop()


def test_a_broken_loudspeaker_bad_speech_and_none_at_all(tmp_path: Path) -> None:
    room = Room(tmp_path / "a", Speaker("unplugged"))
    room.bay.post(ask("p1"))
    room.until(lambda: bool(room.told))
    assert room.outcomes() == [("p1", "failed", "unplugged")]
    room = Room(tmp_path / "b", Speaker())
    room.bay.post(ask("p2", b"RIFF"))
    room.until(lambda: bool(room.told))
    assert room.outcomes()[0][:2] == ("p2", "failed")
    room = Room(tmp_path / "c", None)
    room.bay.post(ask("p3"))
    room.bay.post(PromptWithdrawn(id="p3"))
    room.until(lambda: bool(room.told))
    assert room.outcomes() == [("p3", "suppressed", "off")]


def test_outcomes_survive_a_restart_and_leave_the_disk_once_told(tmp_path: Path) -> None:
    room = Room(tmp_path, Speaker())
    room.bay.post(ask("waits", wav(0.1, 16_000)))
    room.bay.step(recording=True, muted=False)
    room.bay.post(ask("gone"))
    room.bay.post(PromptWithdrawn(id="gone"))
    room.bay.step(recording=True, muted=False)
    # The power goes here: no stop.
    for file in tmp_path.iterdir():
        assert b"Lactate" not in file.read_bytes()
    again = Room(tmp_path, Speaker())
    assert set(again.outcomes()) == {
        ("gone", "suppressed", "withdrawn"),
        ("waits", "failed", "restart"),
    }
    for outcome in again.told:
        again.bay.told(outcome)
    again.bay.step(recording=True, muted=False)
    assert Room(tmp_path, Speaker()).told == []


def test_a_damaged_book_of_outcomes_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "outcomes").write_bytes(b"\xff\x00 damaged")
    book = OutcomeBook(tmp_path / "outcomes")
    assert book.open == ()
    book.take("p1")
    assert OutcomeBook(tmp_path / "outcomes").open == ("p1",)


def test_an_orderly_stop_ends_the_sound_at_once(tmp_path: Path) -> None:
    speaker = Speaker()
    room = Room(tmp_path, speaker)
    room.bay.post(ask("p1"))
    room.bay.post(ask("p2"))
    room.until(lambda: bool(speaker.played))
    room.bay.stop()
    assert {one[0]: one[1:] for one in room.outcomes()} == {
        "p1": ("failed", "stopped"),
        "p2": ("suppressed", "stop"),
    }


def _excerpt() -> Pcm:
    pcm: Pcm = soundfile.read(EXCERPT, dtype="int16")[0]
    return pcm


def test_ducked_audio_is_recorded_to_the_bit_marked_and_nobodys_speech() -> None:
    mics = _excerpt()
    assembly = Assembly(load_profile(str(SCENES / "circle-4-32mm.toml")).geometry, (), None)
    line, begin, end = assembly.pipeline(), 3 * SAMPLE_RATE, 7 * SAMPLE_RATE
    outputs = []
    for at in range(0, len(mics), 640):
        block = Block(SampleIndex(at), mics[at : at + 640])
        outputs.append(line.push(block, ducked=begin <= at < end))
    outputs.append(line.flush())
    beam = np.concatenate([pcm for output in outputs for pcm in output.beam])
    assert len(beam) == len(mics)
    assert np.abs(beam[begin:end]).max() > 50
    turns = [turn for output in outputs for turn in output.turns]
    assert turns
    assert not any(turn.start < end and turn.end > begin for turn in turns)
    marks = [
        (fault.cleared, int(fault.at))
        for output in outputs
        for segment in output.segments
        for fault in segment.faults
        if fault.code is FaultCode.PROMPT
    ]
    assert [cleared for cleared, _ in marks] == [False, True]
    assert marks[0][1] <= begin
    assert end <= marks[1][1] <= end + SAMPLE_RATE
    assert line.counters.ducked_quanta >= 40


def test_the_arrays_own_reference_channel_tells_that_it_plays() -> None:
    profile = ArrayProfile(
        alsa_channels=2,
        sample_rate=SAMPLE_RATE,
        microphones=(Microphone(0, 0.0, 0.0),),
        playback_loopback=(1,),
        name="one-and-reference",
    )
    source = CaptureSource(profile, "none")
    quiet = np.zeros((640, 2), np.int16)
    quiet[:, 0] = 9_000
    loud = quiet.copy()
    loud[300, 1] = -32_768
    assert not source._sounds(quiet)
    assert source._sounds(loud)


def test_a_device_that_swallows_everything_at_once_is_ducked_for_as_long_as_it_sounds() -> None:
    class Swallower:
        def play(self, _clip: Clip, _stop: threading.Event) -> float:
            return 0.0

    duck, over = Duck(), threading.Event()
    player = Player(Swallower(), duck, lambda _problem: over.set())
    player.start(Clip(np.zeros(16_000, np.int16), 8_000))
    assert over.wait(30)
    now = time.monotonic_ns()
    assert duck.covers(now, now + 1)
    assert duck.covers(now + 15 * 10**8, now + 16 * 10**8)
    player.stop()
