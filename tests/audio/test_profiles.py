"""Array profiles, those that ship and those of others."""

from pathlib import Path

import numpy as np
import pytest

from bayscribe.audio.profiles import known_profiles, load_profile
from bayscribe.errors import ProfileError
from bayscribe.resources import firmware_config

FOREIGN = """
alsa_channels = 6
sample_rate = 16000
microphones = [
  { channel = 1, x = 0.032, y = 0.0, z = 0.0 },
  { channel = 3, x = 0.0, y = 0.032, z = 0.0 },
]
sensitivity_dbfs_at_94db_spl = -26
playback_loopback = [5]
[board]
somebody_elses = "key"
"""


@pytest.mark.parametrize("name", known_profiles())
def test_every_shipped_profile_loads_and_its_files_exist(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.geometry.shape == (len(profile.microphones), 3)
    for file in (
        profile.board.udev,
        profile.board.alsa,
        profile.board.overlay,
        profile.board.dsp,
    ):
        assert not file or (firmware_config() / file).is_file()


@pytest.mark.parametrize(
    ("name", "channels", "mics", "loopback"),
    [
        ("respeaker-usb-4mic-v2", 6, (1, 2, 3, 4), (5,)),
        ("respeaker-6mic-circular", 8, (0, 1, 2, 3, 4, 5), (6, 7)),
        ("respeaker-4mic-hat", 4, (0, 1, 2, 3), ()),
        ("respeaker-2mic-hat", 2, (0, 1), ()),
        ("respeaker-xvf3800", 6, (2, 3, 4, 5), ()),
        ("generic-stereo", 2, (0, 1), ()),
    ],
)
def test_channel_maps_of_the_boards(
    name: str, channels: int, mics: tuple[int, ...], loopback: tuple[int, ...]
) -> None:
    profile = load_profile(name)
    assert profile.alsa_channels == channels
    assert tuple(profile.channels) == mics
    assert profile.playback_loopback == loopback


def test_foreign_profile_needs_only_the_contract_keys(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(FOREIGN)
    profile = load_profile(path)
    assert profile.name == "ours"
    assert tuple(profile.channels) == (1, 3)
    assert np.allclose(profile.geometry, [[0.032, 0, 0], [0, 0.032, 0]])
    assert profile.db_spl(-50.0) == 70.0


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("channel = 3", "channel = 1", "named twice"),
        ("channel = 3", "channel = 5", "named twice"),
        ("channel = 3", "channel = 6", "not one of"),
        ("y = 0.032", "y = 32.0", "32 m apart"),
        ("x = 0.0, y = 0.032", "x = 0.032, y = 0.0", "same place"),
        ("y = 0.032", "y = nan", "finite"),
        ("16000", "48000", "expected 16000"),
        ("alsa_channels = 6", "", "alsa_channels: is missing"),
        ("{ channel = 1, x", "{ channel = 1, u", "not a known key"),
        ("sample_rate = 16000", "sample_rate = '16k'", "sample_rate"),
    ],
)
def test_impossible_profile_is_refused_by_what_is_wrong(
    tmp_path: Path, was: str, becomes: str, says: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(FOREIGN.replace(was, becomes, 1))
    with pytest.raises(ProfileError, match=says) as refused:
        load_profile(path)
    assert "bad.toml" in str(refused.value)
    assert refused.value.exit_status == 2


def test_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="no-such-array") as refused:
        load_profile("no-such-array")
    assert "respeaker-usb-4mic-v2" in refused.value.what_to_do
