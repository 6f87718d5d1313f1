"""The measurements of commissioning, on sounds whose truth is known."""

import numpy as np
import pytest

from bayscribe.commission.measure.bearing import Bearing
from bayscribe.commission.measure.claps import ClapTest
from bayscribe.commission.measure.level import LevelCalibration, NoiseFloor
from bayscribe.commission.measure.reverberation import Reverberation
from bayscribe.commission.measure.soundcard import ArrayIdentified
from bayscribe.commission.outcome import Measurement, Outcome
from bayscribe.stream import Block, Pcm
from bayscribe.units import SampleIndex
from commission.bay_sounds import claps, noise, pcm, profile, quiet, room, swept, talk, tone


def hear(measurement: Measurement, sound: Pcm, step: int = 640) -> Outcome | None:
    for at in range(0, len(sound), step):
        live = measurement.live()
        assert 0 <= live.progress <= 1
        outcome = measurement.push(Block(SampleIndex(at), sound[at : at + step]))
        if outcome is not None:
            return outcome
    return None


def verdict(measurement: Measurement, sound: Pcm, step: int = 640) -> Outcome:
    outcome = hear(measurement, sound, step)
    assert outcome is not None
    return outcome


def test_a_sound_array_is_identified_and_a_dead_channel_is_named() -> None:
    sound = room(4.5)
    assert verdict(ArrayIdentified(profile()), sound).passed
    sound[:, 2] = 0
    outcome = verdict(ArrayIdentified(profile()), sound)
    assert not outcome.passed
    assert "microphone 2 is dead" in outcome.words
    assert outcome.advice


@pytest.mark.parametrize("azimuth", [0.0, 37.0, 90.0, 200.0, 315.0])
def test_claps_show_where_they_come_from(azimuth: float) -> None:
    outcome = verdict(ClapTest(profile(), azimuth), claps(azimuth))
    assert outcome.passed, outcome.words
    assert abs((outcome.figures["azimuth_deg"] - azimuth + 180) % 360 - 180) < 4


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)])
def test_exchanged_channels_are_named_by_one_of_the_two_clap_tests(pair: tuple[int, int]) -> None:
    said = []
    for azimuth in (0.0, 90.0):
        sound = claps(azimuth)
        sound[:, list(pair)] = sound[:, [pair[1], pair[0]]]
        outcome = verdict(ClapTest(profile(), azimuth), sound)
        said.append("" if outcome.passed else outcome.words)
    assert any(f"{pair[0]} and {pair[1]} have changed places" in words for words in said), said


def test_reversed_polarity_is_named() -> None:
    sound = claps(0.0)
    sound[:, 3] = -sound[:, 3]
    outcome = verdict(ClapTest(profile(), 0.0), sound)
    assert not outcome.passed
    assert outcome.words.startswith("polarity of microphone 3 is reversed")


def test_claps_from_elsewhere_do_not_pass() -> None:
    outcome = verdict(ClapTest(profile(), 0.0), claps(140.0))
    assert not outcome.passed
    assert "140 degrees instead of 0" in outcome.words


def test_no_claps_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayscribe.commission.measure.claps._GIVE_UP_S", 4.0)
    outcome = verdict(ClapTest(profile(), 0.0), quiet(5.0))
    assert not outcome.passed
    assert outcome.words.startswith("0 of 3 claps")


def test_a_calibrator_gives_the_sensitivity() -> None:
    outcome = verdict(LevelCalibration(profile(), 94.0), tone(5.3))
    assert outcome.passed
    assert abs(outcome.figures["sensitivity_dbfs_at_94db_spl"] + 26.0) < 0.1
    outcome = verdict(LevelCalibration(profile(), 94.0), tone(5.3, 91.0))
    assert outcome.passed
    assert abs(outcome.figures["sensitivity_dbfs_at_94db_spl"] + 29.0) < 0.1


def test_a_calibrator_that_comes_late_is_waited_for() -> None:
    late = np.concatenate([quiet(1.0), tone(6.0)])
    outcome = verdict(LevelCalibration(profile(), 94.0), late)
    assert abs(outcome.figures["sensitivity_dbfs_at_94db_spl"] + 26.0) < 0.1


def test_a_level_that_cannot_be_is_refused() -> None:
    assert not verdict(LevelCalibration(profile(), 94.0), tone(5.3, 75.0)).passed
    wavering = verdict(
        LevelCalibration(profile(), 94.0), np.concatenate(8 * [tone(1.3), tone(1.4, 86.0)])
    )
    assert not wavering.passed
    assert "wavers" in wavering.words
    uneven = tone(5.3)
    uneven[:, 1] //= 4
    assert "differ" in verdict(LevelCalibration(profile(), 94.0), uneven).words


def test_noise_floor_is_in_db_spl_and_adds_up_from_its_octaves() -> None:
    outcome = verdict(NoiseFloor(profile()), quiet(10.5))
    assert outcome.passed
    assert abs(outcome.figures["median_db_spl"] - 44.0) < 1.5
    octaves = outcome.figures["octaves_db_spl"].values()
    total = 10 * np.log10(sum(10 ** (level / 10) for level in octaves))
    assert abs(total - outcome.figures["median_db_spl"]) < 1.0
    assert outcome.figures["a_weighted_db"] < outcome.figures["median_db_spl"] + 1
    assert not verdict(NoiseFloor(profile()), pcm(noise(10.5, 75.0))).passed


@pytest.mark.parametrize("rt60", [0.3, 0.6, 1.0])
def test_reverberation_time_is_found_within_a_tenth(rt60: float) -> None:
    outcome = verdict(Reverberation(), swept(12.0, rt60))
    assert outcome.passed, outcome.words
    assert abs(outcome.figures["rt60_s"] - rt60) < 0.1 * rt60


def test_a_sweep_that_was_not_played_is_no_reverberation() -> None:
    outcome = verdict(Reverberation(), quiet(12.0))
    assert not outcome.passed


@pytest.mark.parametrize("azimuth", [20.0, 250.0])
def test_a_talker_is_where_the_localizer_says(azimuth: float) -> None:
    outcome = verdict(Bearing(profile(), "bed"), talk("dry_clinician", azimuth, 8.1))
    assert outcome.passed, outcome.words
    assert abs((outcome.figures["azimuth_deg"] - azimuth + 180) % 360 - 180) < 8


def test_nobody_at_the_bed_is_said() -> None:
    outcome = verdict(Bearing(profile(), "bed"), quiet(8.1))
    assert not outcome.passed


@pytest.mark.parametrize("step", [97, 1600, 16_000])
def test_a_verdict_does_not_depend_on_how_the_sound_is_cut(step: int) -> None:
    sound = claps(37.0)
    whole = verdict(ClapTest(profile(), 37.0), sound)
    assert verdict(ClapTest(profile(), 37.0), sound, step).figures == whole.figures
