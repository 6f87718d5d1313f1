"""Recordings read as if they were captured."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.recorded_bay import RATE, circle, distinct
from bayscribe.audio.recording import Recording
from bayscribe.errors import AudioFormatError
from bayscribe.stream import Pcm

PROFILE = circle(4, alsa_channels=6, first_channel=1)


def whole(path: Path) -> Pcm:
    with Recording(path, PROFILE) as recording:
        blocks = list(recording.blocks(777))
    assert [block.first for block in blocks] == list(range(0, blocks[-1].end, 777))
    return np.concatenate([block.pcm for block in blocks])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_all_channels_or_the_microphones_alone_give_the_same(tmp_path: Path, suffix: str) -> None:
    pcm = distinct(0.3, 6)
    soundfile.write(tmp_path / f"all.{suffix}", pcm, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / f"mics.{suffix}", pcm[:, 1:5], RATE, subtype="PCM_16")
    assert np.array_equal(whole(tmp_path / f"all.{suffix}"), pcm[:, 1:5])
    assert np.array_equal(whole(tmp_path / f"mics.{suffix}"), pcm[:, 1:5])
    with Recording(tmp_path / f"mics.{suffix}", PROFILE) as recording:
        assert recording.seconds == pytest.approx(0.3)
        played = np.concatenate(list(recording.alsa_frames()))
    assert np.array_equal(played[:, 1:5], pcm[:, 1:5])
    assert not played[:, [0, 5]].any()


@pytest.mark.parametrize(
    ("channels", "rate", "subtype", "says"),
    [
        (4, 48_000, "PCM_16", "found 48000 Hz, expected 16000 Hz"),
        (2, RATE, "PCM_16", r"found 2 channels, expected 6 .* or 4"),
        (4, RATE, "PCM_24", "found WAV PCM_24"),
        (4, RATE, "FLOAT", "found WAV FLOAT"),
    ],
)
def test_other_formats_are_refused_by_what_was_found(
    tmp_path: Path, channels: int, rate: int, subtype: str, says: str
) -> None:
    path = tmp_path / "other.wav"
    soundfile.write(path, np.zeros((100, channels)), rate, subtype=subtype)
    with pytest.raises(AudioFormatError, match=says) as refused:
        Recording(path, PROFILE)
    assert refused.value.exit_status == 2


@pytest.mark.parametrize("content", [None, b"", b"no audio at all", b"RIFF"])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "no.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioFormatError, match=r"no\.wav"):
        Recording(path, PROFILE)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_truncated_file_gives_what_it_has_and_then_says_so(tmp_path: Path, suffix: str) -> None:
    pcm = distinct(2.0, 4)
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, pcm, RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    got: list[Pcm] = []
    with Recording(path, PROFILE) as recording, pytest.raises(AudioFormatError, match="ends after"):
        got.extend(block.pcm for block in recording.blocks())
    kept = np.concatenate(got)
    assert 0.2 * len(pcm) < len(kept) < len(pcm)
    assert np.array_equal(kept, pcm[: len(kept)])
