"""The step engine walks every edge; the record is signed, and drift from it is told."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.commission import record
from bayscribe.commission.engine import Answers, Commissioning, Field, Step, StepState
from bayscribe.commission.outcome import Live, Outcome
from bayscribe.commission.record import Baseline, Results, geometry_sha256
from bayscribe.commission.report import html, pdf, plots
from bayscribe.errors import BadUse, IntegrityError
from bayscribe.health.snapshot import ArrayView, ChannelFault
from bayscribe.stream import Block, FaultCode
from bayscribe.units import SampleIndex
from commission.bay_sounds import profile, quiet


class Counting:
    """Passes or fails after a stated number of blocks."""

    def __init__(self, blocks: int, *, passes: bool) -> None:
        self._left = blocks
        self._passes = passes

    def push(self, _block: Block) -> Outcome | None:
        self._left -= 1
        return Outcome(self._passes, "counted") if self._left == 0 else None

    def live(self) -> Live:
        return Live(0.5, "counting")


def block() -> Block:
    return Block(SampleIndex(0), quiet(0.1))


def steps(verdicts: dict[str, list[bool]]) -> list[Step]:
    def begin(name: str) -> Step:
        def start(_answers: Answers) -> Counting:
            return Counting(2, passes=verdicts[name].pop(0))

        return Step(name, name, "do it", "", start, may_skip=name == "b")

    ask = Field("level", "Level", "94", number=True)
    instant = Step("c", "c", "", "", lambda a: Outcome(float(a["level"]) > 90, a["level"]), (ask,))
    return [begin("a"), begin("b"), instant]


def test_steps_go_in_their_order_and_may_be_tried_again() -> None:
    engine = Commissioning(steps({"a": [False, True], "b": [True]}))
    with pytest.raises(BadUse):
        engine.start("b")
    assert engine.start("a") is None
    assert engine.listening is not None
    assert engine.live() == Live(0.5, "counting")
    with pytest.raises(BadUse):
        engine.start("a")
    assert engine.push(block()) is None
    failed = engine.push(block())
    assert failed is not None
    assert not failed.passed
    assert [step.id for step in engine.steps if step is engine.current] == ["a"]
    engine.start("a")
    engine.push(block())
    assert engine.push(block()) == Outcome(True, "counted")
    assert engine.progress["a"].attempts == 2
    engine.start("b")
    engine.cancel()
    assert engine.progress["b"].state is StepState.WAITING
    engine.skip("b", "no speaker here")
    assert engine.start("c", {"level": "80"}) == Outcome(False, "80")
    assert engine.start("c") == Outcome(True, "94")
    assert engine.current is None
    assert engine.push(block()) is None


def test_what_cannot_be_is_refused() -> None:
    engine = Commissioning(steps({"a": [True, True], "b": [True]}))
    with pytest.raises(BadUse):
        engine.skip("a", "no time")
    with pytest.raises(BadUse):
        engine.skip("b", "  ")
    with pytest.raises(BadUse):
        engine.start("z")
    engine.start("a")
    engine.fail(Outcome(False, "no sound arrives"))
    assert engine.progress["a"].state is StepState.FAILED
    engine.start("a")
    engine.push(block())
    engine.push(block())
    engine.skip("b", "later")
    with pytest.raises(BadUse):
        engine.start("c", {"level": "loud"})


RESULTS = Results(
    device="bay-07",
    site="demo",
    bay="bay-07",
    at="2026-11-23T08:00:00Z",
    software="0.1.0",
    operator="R. <Biomed>",
    profile="circle-4-32mm",
    geometry_sha256=geometry_sha256(profile()),
    sensitivity_dbfs_at_94db_spl=-27.5,
    steps={
        "level": {
            "title": "Level",
            "state": "passed",
            "words": "94 dB SPL is -27.5 dBFS",
            "figures": {"spread_db": [0.0, 0.5, -0.5, 0.0]},
        },
        "noise": {
            "title": "Noise",
            "state": "passed",
            "words": "44 dB SPL",
            "figures": {"median_db_spl": 44.0, "octaves_db_spl": {"500": 40.0, "1000": 35.0}},
        },
        "bed": {
            "title": "Bed",
            "state": "passed",
            "words": "35 degrees",
            "figures": {"azimuth_deg": 35.0},
        },
        "reverberation": {
            "title": "Reverberation",
            "state": "passed",
            "words": "RT60 0.50 s",
            "figures": {"decay_db_per_10ms": [0.0, -10.0, -20.0, -30.0]},
        },
    },
)
HEARD = ArrayView(
    present=True,
    listened_s=60.0,
    spread_db=(0.1, 0.4, -0.4, 0.0),
    floor_db_spl=(50.0, 50.0, 50.0, 50.0),
)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, ec.EllipticCurvePrivateKey]:
    folder = tmp_path / "commissioning"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "results.json").write_bytes(msgspec.json.encode(RESULTS))
    (folder / "report.html").write_text(html(RESULTS))
    (folder / "report.pdf").write_bytes(pdf(RESULTS))
    record.sign(folder, "bay-07", ["results.json", "report.html", "report.pdf"], key)
    return folder, key


def test_the_record_comes_back_as_it_was_signed(
    signed: tuple[Path, ec.EllipticCurvePrivateKey],
) -> None:
    folder, key = signed
    assert record.load(folder, "bay-07", key.public_key()) == RESULTS
    assert record.load(folder.parent, "bay-07", key.public_key()) is None


@pytest.mark.parametrize("name", ["results.json", "report.html", "report.pdf", "signature.json"])
def test_an_altered_file_is_found(
    signed: tuple[Path, ec.EllipticCurvePrivateKey], name: str
) -> None:
    folder, key = signed
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError):
        record.load(folder, "bay-07", key.public_key())


def test_another_units_record_is_found(
    signed: tuple[Path, ec.EllipticCurvePrivateKey],
) -> None:
    folder, key = signed
    with pytest.raises(IntegrityError):
        record.load(folder, "bay-08", key.public_key())
    with pytest.raises(IntegrityError):
        record.load(folder, "bay-07", ec.generate_private_key(ec.SECP256R1()).public_key())


def test_the_report_shows_the_plots_and_trusts_no_text() -> None:
    assert len(plots(RESULTS)) == 3
    text = html(RESULTS)
    assert text.count("<svg") == 3
    assert "<Biomed>" not in text.split("<script", maxsplit=1)[0]
    assert "</script>" not in text.split('id="results">')[1].removesuffix(
        "</script></body></html>\n"
    )
    assert pdf(RESULTS).startswith(b"%PDF-")


def test_a_unit_as_it_was_commissioned_shows_no_drift() -> None:
    view = Baseline(profile(), RESULTS).look(HEARD)
    assert view.done
    assert view.drift == ()
    assert Baseline(profile(), RESULTS).calibrated.sensitivity_dbfs_at_94db_spl == -27.5


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (replace(HEARD, spread_db=(0.1, 6.0, -0.4, 0.0)), "gain: microphone 1 by +5.5 dB"),
        (replace(HEARD, floor_db_spl=(30.0,) * 4), "noise floor: 30 dB SPL"),
        (replace(HEARD, faults=(ChannelFault(FaultCode.SWAPPED, 1),)), "order"),
    ],
)
def test_drift_is_told(array: ArrayView, said: str) -> None:
    (drift,) = Baseline(profile(), RESULTS).look(array).drift
    assert drift.startswith(said)


def test_another_geometry_is_drift_even_in_silence() -> None:
    other = msgspec.structs.replace(profile(), microphones=profile().microphones[::-1])
    (drift,) = Baseline(other, RESULTS).look(ArrayView(present=True)).drift
    assert drift.startswith("geometry")


def test_a_unit_without_a_record_says_so(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    view = Baseline.of(tmp_path, "bay-07", key, profile()).look(HEARD)
    assert not view.done
