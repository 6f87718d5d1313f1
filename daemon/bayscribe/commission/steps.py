"""The steps, in their order, wired to one unit."""

from collections.abc import Callable

from bayscribe.commission import drawing
from bayscribe.commission.bench import Bench
from bayscribe.commission.engine import Answers, Field, Step
from bayscribe.commission.measure.bearing import Bearing
from bayscribe.commission.measure.claps import ClapTest
from bayscribe.commission.measure.level import LevelCalibration, NoiseFloor
from bayscribe.commission.measure.rehearsal import Rehearsal
from bayscribe.commission.measure.reverberation import Reverberation
from bayscribe.commission.measure.soundcard import ArrayIdentified
from bayscribe.commission.outcome import Measurement, Outcome

_BEGUN = Measurement | Outcome
NOBODY = "?"
"""Stands for a first talker whose voice is not enrolled; no label may hold it."""


def all_steps(bench: Bench, report: Callable[[Answers], Outcome]) -> list[Step]:
    """Every step of a commissioning.

    Args:
        bench: the unit.
        report: writes the report from the operator's answers.
    """
    return [
        *_array_steps(bench),
        *_level_steps(bench),
        *_place_steps(bench),
        *_site_steps(bench, report),
    ]


def _array_steps(bench: Bench) -> list[Step]:
    profile = bench.profile
    several = len(profile.microphones) > 2
    steps = [
        Step(
            "array",
            "Identify the array",
            "Leave the unit alone for four seconds, in a bay that sounds as usual.",
            drawing.person(None, "just listen").svg(),
            lambda _answers: ArrayIdentified(profile),
        )
    ]
    for name, azimuth, where in (
        ("channels-front", 0.0, "where the unit's arrow points"),
        ("channels-left", 90.0, "a quarter turn to the left of the arrow, seen from above"),
    ):
        steps.append(
            Step(
                name,
                "Clap test: " + ("front" if azimuth == 0.0 else "left"),
                f"Stand one metre from the unit, {where}. Clap three times, a second apart.",
                drawing.person(azimuth, "clap three times").svg(),
                _clap_test(bench, azimuth, several=several),
            )
        )
    return steps


def _clap_test(bench: Bench, azimuth: float, *, several: bool) -> Callable[[Answers], _BEGUN]:
    def begin(_answers: Answers) -> _BEGUN:
        if several:
            return ClapTest(bench.profile, azimuth)
        return Outcome(True, "one or two microphones have no order that claps could show")

    return begin


def _level_steps(bench: Bench) -> list[Step]:
    reference = Field("reference_db_spl", "Level at the unit, dB SPL", "94", number=True)
    return [
        Step(
            "level",
            "Calibrate the level",
            "Hold a 94 dB calibrator to the unit, or play a steady noise and read a sound level "
            "meter beside it. Enter the level, then keep it up for five seconds.",
            drawing.person(0.0, "94 dB, steady").svg(),
            lambda answers: LevelCalibration(bench.profile, float(answers["reference_db_spl"])),
            (reference,),
            may_skip=True,
        ),
        Step(
            "noise",
            "Noise floor",
            "Keep the bay as quiet as it gets for ten seconds.",
            drawing.person(None, "quiet").svg(),
            lambda _answers: NoiseFloor(bench.calibrated),
        ),
        Step(
            "reverberation",
            "Reverberation time",
            "Play the sweep (sweep.wav) once from a phone or a speaker at the bed, loudly, within "
            "twelve seconds.",
            drawing.person(0.0, "play the sweep").svg(),
            lambda _answers: Reverberation(),
            may_skip=True,
        ),
    ]


def _place_steps(bench: Bench) -> list[Step]:
    places = (
        ("bed", "head of the bed"),
        ("door", "door"),
        ("alarm", "monitor that gives the alarms"),
    )
    steps = [
        Step(
            name,
            f"Point at the {name}",
            f"Stand at the {where} and talk for eight seconds, facing the unit.",
            drawing.person(None, f"talk from the {name}").svg(),
            lambda _answers, name=name: Bearing(bench.profile, name),  # type: ignore[misc]  # bound
            may_skip=len(bench.profile.microphones) < 3 or name != "bed",
        )
        for name, where in places
    ]
    return [*steps, _rehearsal_step(bench)]


def _rehearsal_step(bench: Bench) -> Step:
    """The first to talk need not be the primary clinician, where several are enrolled."""
    known = bench.known_labels
    primary = bench.config.primary
    named = (NOBODY, *known) if primary is None or primary in known else (NOBODY, primary, *known)
    label = f"Enrolled voice that talks first ({', '.join(named[1:])}; {NOBODY} for none of them)"
    asked = Field("first", label, primary or NOBODY, choices=named)

    def begin(answers: Answers) -> _BEGUN:
        first = answers.get("first", NOBODY)
        return Rehearsal(bench.pipeline(), None if first == NOBODY else first)

    return Step(
        "voices",
        "Rehearse with two voices",
        "The clinician talks for twelve seconds from the usual place, then somebody else for "
        "twelve seconds from the bed.",
        drawing.person(0.0, "first one, then the other").svg(),
        begin,
        (asked,) if len(named) > 1 else (),
        may_skip=True,
    )


def _site_steps(bench: Bench, report: Callable[[Answers], Outcome]) -> list[Step]:
    return [
        Step(
            "identity",
            "Give the unit its identity",
            "A unit that has none gets it now: name the enrol.toml with its one-time token. The "
            "key is made on the unit and never leaves it.",
            drawing.person(None, "certificate").svg(),
            lambda answers: bench.identify(answers["order"]),
            (Field("order", "Path of enrol.toml (only for a new unit)"),),
        ),
        Step(
            "network",
            "Clock, relay and broker",
            "Connect the unit to the wall port. Nothing else is to be done.",
            drawing.person(None, "network").svg(),
            lambda _answers: bench.network(),
        ),
        Step(
            "report",
            "Sign the report",
            "Enter what belongs into the asset file; the unit signs the report.",
            drawing.person(None, "sign").svg(),
            report,
            (
                Field("operator", "Your name"),
                Field("asset", "Asset number"),
                Field("remarks", "Remarks"),
            ),
        ),
    ]
