"""The demonstration's second half signs a note with the configurations that it leaves behind."""

from pathlib import Path

from bayscribe_relay.gateway import config as gateway_config
from bayscribe_relay.writeback import config as relay_config
from hil.bay import SCENES, Bay, profile_for
from hil.chart import Chart


def test_one_note_is_signed_into_the_chart(tmp_path: Path) -> None:
    scene = SCENES / "sepsis-4mic-70db"
    bay = Bay(tmp_path / "demo", profile_for(scene / "mics.flac"), scene / "enrol_clinician.flac")
    chart = Chart(bay)
    try:
        bay.start_relay()
        answer = chart.sign("a" * 64, "b" * 64)
    finally:
        bay.stop()
    assert (answer["state"], answer["path"]) == ("verified", "fhir")
    assert answer["timings_ms"]["total"] > 0
    assert set(gateway_config.load(chart.config).sites) == {"demo"}
    assert relay_config.load(chart.relay_config).writeback.note_format("demo") == "as-is"
    assert chart.how_to_repeat()[-1].endswith("--wait")
