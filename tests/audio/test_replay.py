"""The recorded microphone, its control block and the replay command."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.recorded_bay import RATE, OpenBay, circle, distinct, samples
from bayscribe.audio import recorded_mic
from bayscribe.audio.recorded_mic import Idle, MicrophoneEvent, Operation, RecordedMicrophone
from bayscribe.audio.recording import Recording
from bayscribe.audio.replay import command, parse_fault, replay
from bayscribe.cli import main
from bayscribe.errors import BadUse, CaptureError
from bayscribe.resources import firmware_config

PROFILE = circle(4, alsa_channels=6, first_channel=1)


def test_control_block_is_the_same_in_c_and_python(tmp_path: Path) -> None:
    header = firmware_config() / "recorded-mic" / "control.h"
    fields = list(recorded_mic._FIELDS)
    prints = "".join(
        f'printf("{name} %zu %zu\\n", offsetof(struct control, {name}),'
        f" sizeof(((struct control *)0)->{name}));"
        for name in [*fields, "events"]
    )
    source = tmp_path / "layout.c"
    source.write_text(f'#include "{header}"\n#include <stdio.h>\nint main(void) {{ {prints} }}\n')
    subprocess.run(["cc", "-o", str(tmp_path / "layout"), str(source)], check=True)
    listed = subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True, text=True)
    found = {
        line.split()[0]: tuple(map(int, line.split()[1:])) for line in listed.stdout.splitlines()
    }
    assert found.pop("events")[0] == recorded_mic._EVENTS_AT
    assert found == {
        name: (offset, kind.size) for name, (offset, kind) in recorded_mic._FIELDS.items()
    }
    numbered = re.findall(r"OP_(\w+)", header.read_text().split("enum operation")[1].split("}")[0])
    assert numbered == [operation.name for operation in Operation]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("t=12.0 dead 2", MicrophoneEvent(Operation.DEAD, 3, at=192_000)),
        ("stuck 0", MicrophoneEvent(Operation.STUCK, 1)),
        ("t=1.5 swapped 0 3", MicrophoneEvent(Operation.SWAP, 1, 4, at=24_000)),
        ("inverted 1", MicrophoneEvent(Operation.INVERT, 2)),
        ("clipped 1", MicrophoneEvent(Operation.CLIP, 2)),
        ("dc 1 -900", MicrophoneEvent(Operation.DC, 2, -900)),
        ("repaired", MicrophoneEvent(Operation.REPAIR, -1)),
        ("drift -250", MicrophoneEvent(Operation.DRIFT, -250)),
        ("overrun 0.25", MicrophoneEvent(Operation.OVERRUN, 250)),
        ("short-read", MicrophoneEvent(Operation.SHORT_READ)),
        ("t=0 unplugged 3", MicrophoneEvent(Operation.UNPLUG, 3000, at=1)),
    ],
)
def test_faults_are_written_in_microphones_and_seconds(text: str, event: MicrophoneEvent) -> None:
    assert parse_fault(text, PROFILE) == event


@pytest.mark.parametrize(
    "text", ["", "t=1", "deaf 1", "dead", "dead 4", "dead x", "swapped 1", "overrun", "t=x dead 1"]
)
def test_other_faults_are_refused(text: str) -> None:
    with pytest.raises(BadUse):
        parse_fault(text, PROFILE)


def test_channel_faults_sound_as_they_should_and_are_repaired(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(1.0, 4)
    source = bay.source()
    source.start()
    at, end = RATE // 4, RATE // 2
    bay.play(pcm, "t=0.25 dead 1", "t=0.25 inverted 2", "t=0.25 dc 3 100", "t=0.5 repaired")
    heard = samples(bay.collect(source))
    assert np.array_equal(heard[:at], pcm[:at])
    assert not heard[at:end, 1].any()
    assert np.array_equal(heard[at:end, 2], -pcm[at:end, 2])
    assert np.array_equal(heard[at:end, 3], pcm[at:end, 3] + 100)
    assert np.array_equal(heard[at:end, 0], pcm[at:end, 0])
    assert np.array_equal(heard[end:], pcm[end:])


def test_swapped_stuck_and_clipped_channels(open_bay: OpenBay) -> None:
    bay = open_bay(circle(4))
    pcm = distinct(0.5, 4)
    source = bay.source()
    source.start()
    at = RATE // 4
    bay.play(pcm, "t=0.25 swapped 0 1", "t=0.25 stuck 2", "t=0.25 clipped 3")
    heard = samples(bay.collect(source))
    assert np.array_equal(heard[at:, [1, 0]], pcm[at:, [0, 1]])
    assert set(heard[at:, 2]) == {pcm[at - 1, 2]}
    assert (np.abs(heard[at:, 3].astype(int)) >= 32767).mean() > 0.9


def test_fast_clock_delivers_more_frames_a_second(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    pcm = distinct(2.0, 2)
    source = bay.source()
    source.start()
    bay.play(pcm, "drift 100000")
    blocks = bay.collect(source)
    heard = samples(blocks)
    assert np.array_equal(heard, pcm[: len(heard)])
    assert bay.summary is not None
    assert bay.summary.complete


def test_recording_that_nobody_hears_is_reported(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", distinct(0.1, 6), RATE, subtype="PCM_16")
    with (
        RecordedMicrophone(tmp_path / "mic" / "bay", 6, RATE) as microphone,
        Recording(tmp_path / "a.wav", PROFILE) as recording,
        pytest.raises(CaptureError, match="nobody has read"),
    ):
        replay(recording, microphone, reader_timeout_s=0.2)
    assert not (tmp_path / "mic" / "bay" / "recording.raw").exists()


def test_recording_whose_player_has_gone_does_not_block_the_next(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2))
    bay.microphone.arm(1000)
    source = bay.source()
    source.start()
    pcm = distinct(0.2, 2)
    bay.play(pcm)
    assert np.array_equal(samples(bay.collect(source)), pcm)


def test_microphone_of_another_array_is_refused(tmp_path: Path) -> None:
    RecordedMicrophone(tmp_path / "mic" / "bay", 6, RATE).close()
    with pytest.raises(BadUse, match="6 channels"):
        RecordedMicrophone(tmp_path / "mic" / "bay", 4, RATE)


def test_commands_reach_a_microphone_that_plays(open_bay: OpenBay) -> None:
    bay = open_bay(circle(2), Idle.SILENCE)
    source = bay.source()
    source.start()
    command(bay.microphone, "dc 1 500", bay.profile)
    bay.play(distinct(0.2, 2), at_end=Idle.WAIT)
    heard = samples(bay.collect(source))
    played = heard[np.flatnonzero(heard[:, 0] == -30_000)[0] :]
    assert np.array_equal(played[:, 1], distinct(0.2, 2)[:, 1] + 500)
    command(bay.microphone, "unplugged", bay.profile)
    with pytest.raises(CaptureError):
        source.probe()
    command(bay.microphone, "replug", bay.profile)
    source.probe()


def test_replay_command_plays_and_prints_what_became_of_it(
    open_bay: OpenBay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BAYSCRIBE_RECORDED_MIC", str(tmp_path / "mic"))
    profile = tmp_path / "four.toml"
    rows = ",".join(
        f"{{ channel = {mic.channel}, x = {mic.x}, y = {mic.y} }}" for mic in circle(4).microphones
    )
    profile.write_text(f"alsa_channels = 4\nsample_rate = 16000\nmicrophones = [{rows}]\n")
    bay = open_bay(circle(4))
    soundfile.write(tmp_path / "a.flac", distinct(0.4, 4), RATE, subtype="PCM_16")
    source = bay.source()
    source.start()
    words = ["replay", str(tmp_path / "a.flac"), "--array", str(profile), "--pcm", "bay"]
    assert main([*words, "--fault", "t=0.1 overrun 0.1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["frames"] == 6400 == printed["delivered"] + printed["lost"]
    assert printed["overruns"] == 1
    assert main(["replay", "--array", str(profile), "--pcm", "bay"]) == 2
    assert main([*words[:-1], "no/such"]) == 2
    assert "[bad-use]" in capsys.readouterr().err
