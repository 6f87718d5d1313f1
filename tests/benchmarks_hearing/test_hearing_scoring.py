"""The scorers of hearing, on examples that can be worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.hearing.goals import stored
from benchmarks.hearing.measure import diarizers
from benchmarks.hearing.run import table
from benchmarks.hearing.scoring import (
    Turn,
    attribution,
    diarization_error,
    direction_error,
    errors_over_time,
    percentiles,
    read_rttm,
    reliability,
    si_sdr,
    word_errors,
)

REFERENCE = [Turn(0.0, 4.0, "clinician"), Turn(3.0, 6.0, "nurse"), Turn(8.0, 10.0, "patient")]


def test_the_reference_itself_scores_without_error() -> None:
    for collar in (0.0, 0.25):
        assert diarization_error(REFERENCE, REFERENCE, 10.0, collar).rate == 0.0
        assert attribution(REFERENCE, REFERENCE, 10.0, "clinician", collar).accuracy == 1.0


def test_labels_are_mapped_to_the_best_speakers() -> None:
    renamed = [Turn(turn.start, turn.end, f"x{turn.label}") for turn in REFERENCE]
    assert diarization_error(REFERENCE, renamed, 10.0).rate == 0.0


def test_diarization_parts_by_hand() -> None:
    heard = [Turn(0.0, 6.0, "a"), Turn(7.0, 10.0, "b")]
    error = diarization_error(REFERENCE, heard, 10.0)
    assert error.total == pytest.approx(9.0)
    assert error.missed == pytest.approx(1.0)  # one of two talkers from 3 to 4 s
    assert error.false_alarm == pytest.approx(1.0)  # 7 to 8 s
    assert error.confusion == pytest.approx(2.0)  # the nurse alone, 4 to 6 s
    assert error.rate == pytest.approx(4.0 / 9.0)


def test_a_collar_forgives_a_boundary_and_no_more() -> None:
    reference = [Turn(1.0, 3.0, "a")]
    late = [Turn(1.2, 3.0, "a")]
    assert diarization_error(reference, late, 4.0).missed == pytest.approx(0.2)
    assert diarization_error(reference, late, 4.0, 0.25).rate == 0.0
    later = [Turn(1.5, 3.0, "a")]
    assert diarization_error(reference, later, 4.0, 0.25).missed == pytest.approx(0.25)


def test_nothing_heard_is_all_missed() -> None:
    assert diarization_error(REFERENCE, [], 10.0).rate == 1.0
    score = attribution(REFERENCE, [], 10.0, "clinician")
    assert score.accuracy == 0.0
    assert score.undetected == score.total == pytest.approx(7.0)


def test_attribution_parts_by_hand() -> None:
    reference = [Turn(0.0, 4.0, "clinician"), Turn(5.0, 9.0, "nurse")]
    heard = [
        Turn(0.0, 1.0, "clinician"),
        Turn(1.0, 2.0, "nurse"),
        Turn(2.0, 3.0, "unknown-1"),
        Turn(5.0, 6.0, "clinician"),
        Turn(6.0, 8.0, "unknown-1"),
    ]
    score = attribution(reference, heard, 10.0, "clinician")
    assert score.correct == pytest.approx(3.0)  # 0 to 1 s and 6 to 8 s
    assert score.missed == pytest.approx(2.0)
    assert score.abstained == pytest.approx(1.0)
    assert score.false == pytest.approx(1.0)
    assert score.undetected == pytest.approx(2.0)
    assert score.accuracy == pytest.approx(3.0 / 8.0)


def test_angles_wrap_and_a_missing_estimate_is_no_hit() -> None:
    error = direction_error([355.0, 10.0, 90.0, 180.0], [5.0, 25.0, 150.0, None])
    assert (error.within_10, error.within_20) == (0.25, 0.5)
    assert error.median == pytest.approx(15.0)
    assert error.missed == 0.25
    with pytest.raises(ValueError, match="as many estimates"):
        direction_error([1.0], [])


def test_si_sdr_ignores_scale_and_measures_orthogonal_noise() -> None:
    wanted = np.array([1.0, -1.0, 1.0, -1.0])
    noise = np.array([1.0, 1.0, -1.0, -1.0])
    assert si_sdr(wanted, 3.0 * wanted) == math.inf
    assert si_sdr(wanted, 5.0 * (wanted + 0.1 * noise)) == pytest.approx(20.0)
    with pytest.raises(ValueError, match="silent"):
        si_sdr(np.zeros(4), wanted)


def test_word_errors_and_percentiles() -> None:
    assert word_errors(["two", "litres", "of", "ringer"], ["two", "litres", "of", "ringer"]) == 0
    assert word_errors(["two", "litres", "of", "ringer"], ["two", "leaders", "ringer", "now"]) == 3
    assert word_errors(["a", "b"], []) == 2
    assert percentiles([1.0, 2.0, 3.0])[0] == 2.0
    assert all(math.isnan(value) for value in percentiles([]))


def test_rttm_is_read_and_a_broken_line_named(tmp_path: Path) -> None:
    path = tmp_path / "x.rttm"
    path.write_text("SPEAKER x 1 1.5 2.0 <NA> <NA> nurse <NA> <NA>\n")
    assert read_rttm(path) == [Turn(1.5, 3.5, "nurse")]
    path.write_text("SPEAKER x 1 now\n")
    with pytest.raises(ValueError, match=r"x\.rttm:1"):
        read_rttm(path)


def test_errors_over_time_add_up_to_the_diarization_error() -> None:
    heard = [Turn(0.5, 5.0, "a"), Turn(5.0, 9.0, "b"), Turn(9.0, 9.5, "a")]
    whole = diarization_error(REFERENCE, heard, 10.0)
    sums = errors_over_time(REFERENCE, heard, 10.0).sum(axis=1) * 0.01
    assert sums == pytest.approx([whole.missed, whole.false_alarm, whole.confusion])


def test_the_table_has_medians_by_level_and_a_dash_where_nothing_was_rendered() -> None:
    def scene(level: int, der: float) -> dict[str, Any]:
        shares = {"missed": 0.1, "false_alarm": 0.1, "confusion": der - 0.2}
        who = {"undetected": 0.0, "missed": 0.0, "false": 0.0, "abstained": 0.0}
        return {
            "level_db_spl": level,
            "noise_with_events_db_spl": float(level),
            "median_turn_snr_db": 1.0,
            "no_collar": {"der": der} | shares,
            "collar": {"der": der},
            "attribution": {"accuracy": 0.9} | who,
            "turn_latency_p95_s": 1.2,
            "cpu_s_per_s": 0.1,
            "directions": {"ours": {"within_10": 0.5}},
            "confidence": {"calibration_error": 0.02, "above_the_truth": -0.01},
            "sound": {"the beam": {"wer": 0.7, "stoi": 0.5, "pesq": 1.0, "si_sdr_db": -8.0}},
        }

    lines = table([scene(60, 0.3), scene(70, 0.4), scene(70, 0.6), scene(70, 0.5)])
    (row,) = (line for line in lines if line.startswith("DER, no collar"))
    assert row.split()[-6:] == ["-", "30.0", "-", "50.0", "12.0", "20.0"]
    assert lines[0].endswith("goal 60 goal 70")
    (without,) = (line for line in lines if line.startswith("DER, 0.25 s collar"))
    assert without.split()[-4:] == ["-", "30.0", "-", "50.0"]


def test_what_a_packaged_diarizer_heard_is_scored_by_way(tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text('{"duration": 10.0}', encoding="utf-8")
    lines = [f"SPEAKER r 1 {t.start} {t.end - t.start} <NA> <NA> {t.label}" for t in REFERENCE]
    (tmp_path / "ref.rttm").write_text("\n".join(lines), encoding="utf-8")
    turns = [[t.start, t.end, f"SPEAKER_{t.label}"] for t in REFERENCE]
    heard = {
        "all": {"turns": turns, "cpu_s_per_s": 0.1},
        "nothing": {"turns": [], "cpu_s_per_s": 0.2},
    }
    (tmp_path / "heard.json").write_text(json.dumps(heard), encoding="utf-8")
    scored = diarizers(tmp_path, tmp_path / "heard.json")
    assert scored["all"]["der"] == 0.0
    assert scored["nothing"]["der"] == scored["nothing"]["missed"] == 1.0
    assert scored["nothing"]["cpu_s_per_s"] == 0.2


def test_the_goals_are_stored_by_figure_and_level() -> None:
    assert stored()["attribution/accuracy"] == {"60": 0.985, "70": 0.96}


def test_confidence_is_compared_with_what_was_right() -> None:
    reference = [Turn(0, 8, "clinician"), Turn(8, 10, "patient"), Turn(9, 10, "nurse")]
    sure = [(Turn(0, 10, "clinician"), True, 0.9)]
    apart, above = reliability(reference, sure, 10, "clinician")
    assert apart == pytest.approx(0.9 - 8 / 9)  # nobody judges the second in which two talk
    assert above == pytest.approx(apart)
    doubtful = [(Turn(0, 8, "clinician"), True, 0.4)]
    apart, above = reliability(reference, doubtful, 10, "clinician")
    assert apart == pytest.approx(0.6)
    assert above == pytest.approx(-0.6)
    assert all(np.isnan(reliability(reference, [], 10, "clinician")))
