"""A bay whose microphone is a video visit: one channel, or near and far end in two."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bayscribe.assembly import Assembly
from bayscribe.audio.capture import CaptureSource
from bayscribe.audio.profiles import load_profile
from bayscribe.cli import main
from bayscribe.errors import ProfileError
from bayscribe.stream import Block, Pcm
from bayscribe.units import SAMPLE_RATE, SampleIndex
from hil.bay import SCENES, Bay

SCENE = SCENES / "sepsis-6mic-60db"
SECONDS = 6


def ends() -> tuple[Pcm, Pcm]:
    """Near end (clinician) and far end (patient and nurse), int16, six seconds of talk."""
    roles = []
    for names in (("clinician",), ("patient", "nurse")):
        dry = [
            soundfile.read(
                SCENE / f"dry_{name}.flac", dtype="int16", start=10 * SAMPLE_RATE,
                frames=SECONDS * SAMPLE_RATE,
            )[0].astype(np.int32)
            for name in names
        ]  # fmt: skip
        roles.append(np.clip(3 * np.sum(dry, axis=0), -32768, 32767).astype(np.int16))
    return roles[0], roles[1]


def write(path: Path, pcm: Pcm) -> Path:
    soundfile.write(path, pcm, SAMPLE_RATE, subtype="PCM_16")
    return path


def process(recording: Path, profile: str, out: Path) -> list[str]:
    assert main(["process", str(recording), "--array", profile, "--out", str(out)]) == 0
    return (out / "turns.rttm").read_text().splitlines()


def test_one_channel_is_a_bay_and_its_beam_is_the_channel(tmp_path: Path) -> None:
    near, far = ends()
    mixed = np.clip(near.astype(np.int32) + far, -32768, 32767).astype(np.int16)
    turns = process(write(tmp_path / "visit.wav", mixed), "telehealth-mono", tmp_path / "out")
    assert turns
    beam = soundfile.read(tmp_path / "out" / "beam.wav", dtype="int16")[0]
    assert len(beam) == len(mixed)
    assert np.abs(beam.astype(np.int32) - mixed).max() <= 2


def test_near_and_far_end_in_two_channels_are_both_heard_alike(tmp_path: Path) -> None:
    near, far = ends()
    stereo = write(tmp_path / "stereo.wav", np.stack([near, far], 1))
    both = np.clip(near.astype(np.int32) + far, -32768, 32767).astype(np.int16)
    mono = write(tmp_path / "mono.wav", both)
    found = process(stereo, "telehealth-stereo", tmp_path / "stereo")
    assert found == process(mono, "telehealth-mono", tmp_path / "mono")
    swapped = write(tmp_path / "swapped.wav", np.stack([far, near], 1))
    assert found == process(swapped, "telehealth-stereo", tmp_path / "swapped")


def test_a_far_end_that_is_silent_for_a_while_is_no_dead_microphone() -> None:
    near, far = ends()
    far[: 4 * SAMPLE_RATE] = 0
    profile = load_profile("telehealth-stereo")
    line = Assembly(profile.geometry, (), None).pipeline()
    line.push(Block(SampleIndex(0), profile.pick(np.stack([near, far], 1))))
    line.flush()
    assert line.faults == ()


def test_loud_ends_saturate_and_do_not_wrap() -> None:
    profile = load_profile("telehealth-stereo")
    loud = np.full((4, 2), 30_000, np.int16)
    assert profile.pick(loud).tolist() == [[32_767]] * 4
    assert profile.pick(-loud).tolist() == [[-32_768]] * 4


def test_turns_of_a_visit_have_no_direction(tmp_path: Path) -> None:
    near, _ = ends()
    process(write(tmp_path / "near.wav", near), "telehealth-mono", tmp_path / "out")
    rows = (tmp_path / "out" / "turns.jsonl").read_text()
    assert '"azimuth_deg": null' in rows
    assert '"azimuth_deg": 0' not in rows


def test_channels_are_summed_or_placed_but_not_both(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        "alsa_channels = 3\nsample_rate = 16000\nsummed_channels = [2]\n"
        "microphones = [{ channel = 0, x = 0.0, y = 0.0 }, { channel = 1, x = 0.1, y = 0.0 }]\n"
    )
    with pytest.raises(ProfileError, match="summed_channels"):
        load_profile(path)
    path.write_text(
        "alsa_channels = 1\nsample_rate = 16000\nsummed_channels = [1]\n"
        "microphones = [{ channel = 0, x = 0.0, y = 0.0 }]\n"
    )
    with pytest.raises(ProfileError, match="channel 1"):
        load_profile(path)


def test_a_visit_is_captured_live_through_alsa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stereo profile on a PCM that ALSA's own plug-ins make, as a sound server's would."""
    near, far = ends()
    raw = tmp_path / "visit.raw"
    np.stack([near, far], 1).astype("<i2").tofile(raw)
    configuration = tmp_path / "asound.conf"
    configuration.write_text(
        "</usr/share/alsa/alsa.conf>\n"
        'pcm.node { type file  slave.pcm null  file "/dev/null"  '
        f'infile "{raw}"  format raw }}\n'
        "pcm.visit { type plug  slave { pcm node  rate 16000  channels 2  format S16_LE } }\n"
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    profile = load_profile("telehealth-stereo")
    source = CaptureSource(profile, "visit", period_frames=320, periods=25)
    source.start()
    blocks: list[Pcm] = []
    while sum(map(len, blocks)) < SAMPLE_RATE:
        assert source.problem is None
        blocks += [item.pcm for item in source.read(0.2) if isinstance(item, Block)]
    source.stop()
    heard = np.concatenate(blocks)[:SAMPLE_RATE]
    assert heard.shape[1] == 1
    expected = profile.pick(np.stack([near, far], 1))[:SAMPLE_RATE]
    assert np.array_equal(heard, expected)


@pytest.mark.slow
def test_a_whole_visit_is_recorded_and_verified(tmp_path: Path) -> None:
    near, far = ends()
    recording = write(tmp_path / "visit.wav", np.stack([near, far], 1))
    profile = Path(__file__).resolve().parents[2] / "firmware-config" / "arrays"
    bay = Bay(tmp_path / "bay", profile / "telehealth-stereo.toml", SCENE / "enrol_clinician.flac")
    try:
        bay.start_relay()
        unit = bay.start_unit()
        bay.play(recording)
        unit.stop()
        device = bay.closed_device()
    finally:
        bay.stop()
    assert device["verified"] is True
    assert device["encounters"][-1]["samples"] >= (SECONDS - 1) * SAMPLE_RATE
