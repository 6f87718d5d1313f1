"""A tracer told bit by bit, in any order, decides what it decides on the whole timeline."""

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayscribe_relay.tracer.anchors import ANCHORS
from bayscribe_relay.tracer.case import replay, tracer_of
from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.figures import FIGURES
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.reads import Computed
from bayscribe_relay.tracer.record import Record
from bayscribe_relay.tracer.timeline import (
    CLINICIANS,
    Event,
    Mention,
    Utterance,
    event_of,
    utterance_of,
)
from bayscribe_relay.tracer.tracer import Closed, Fired, Tracer
from tracer.timelines import PAIRS, PROFILES, RANGES, WORDS, random_case

NETWORK = Network(load())
ADULT = {"age_years": 67, "sex": "F"}


def outcome(decisions: list[Fired | Closed]) -> list[tuple[str, str, int, str]]:
    return [
        (type(d).__name__, d.gap.id, d.minute, d.by if isinstance(d, Closed) else d.text)
        for d in decisions
    ]


def run(tracer: Tracer, items: list[Event | Utterance], last: int) -> list[Fired | Closed]:
    for item in items:
        tracer.add(item) if isinstance(item, Event) else tracer.add_utterance(item)
    return tracer.advance(last)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9), order=st.integers(0, 10**9))
def test_order_and_pieces_of_arrival_do_not_matter(seed: int, order: int) -> None:
    case = random_case(seed)
    whole = outcome(tracer_of(case).advance(case["horizon_min"]))
    draw = random.Random(order)
    items: list[Event | Utterance] = [event_of(e, i) for i, e in enumerate(case["events"])]
    items += [utterance_of(u) for u in case["utterances"]]
    draw.shuffle(items)
    tracer = tracer_of(dict(case, events=[], utterances=[]))
    pieces: list[Fired | Closed] = []
    minute = -1
    while minute < case["horizon_min"]:
        minute = min(case["horizon_min"], minute + draw.choice([1, 1, 1, 2, 30]))
        early = [i for i in items if i.received <= minute or draw.random() < 0.02]
        items = [i for i in items if i not in early]
        pieces += run(tracer, early, minute)
    assert outcome(pieces) == whole


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9))
def test_what_comes_late_counts_from_the_first_minute_not_yet_judged(seed: int) -> None:
    case = random_case(seed)
    draw = random.Random(seed)
    live, whole = tracer_of(dict(case, events=[], utterances=[])), dict(case, utterances=[])
    schedule: dict[int, list[Event]] = {}
    told = []
    for place, raw in enumerate(case["events"]):
        delivered = max(0, raw.get("t_recv", raw["t"])) + draw.randint(0, 40)
        schedule.setdefault(delivered, []).append(event_of(raw, place))
        told.append(dict(raw, t_recv=delivered))
    decisions: list[Fired | Closed] = []
    for minute in range(case["horizon_min"] + 1):
        decisions += run(live, list(schedule.get(minute, [])), minute)
    expected = tracer_of(dict(whole, events=told)).advance(case["horizon_min"])
    # Equal weights of one minute are told apart by receipt, which lateness changes.
    if sum(e["concept"] == "vital.weight_kg" for e in told) < 2:
        assert outcome(decisions) == outcome(expected)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9))
def test_only_the_minutes_that_it_names_need_a_visit(seed: int) -> None:
    case = random_case(seed)
    tracer = tracer_of(case)
    decisions: list[Fired | Closed] = []
    while (at := tracer.wakes_at) is not None and at <= case["horizon_min"]:
        decisions += tracer.advance(max(at, tracer.minute))
    decisions += tracer.advance(case["horizon_min"])
    assert outcome(decisions) == outcome(tracer_of(case).advance(case["horizon_min"]))


def _septic() -> list[Event | Utterance]:
    def event(kind: str, concept: str, t: int, **more: object) -> Event:
        return Event(kind=kind, concept=concept, t=t, received=t, id=f"{concept}@{t}", **more)  # type: ignore[arg-type]  # test shorthand

    return [
        event("obs", "vital.temp_c", 5, value=101.1, unit="[degF]"),
        event("obs", "vital.hr", 5, value=112),
        event("order", "order.blood_culture", 15),
        event("order", "order.lactate", 15),
    ]


def test_a_decision_names_rule_events_values_times_and_words() -> None:
    tracer = Tracer(NETWORK, ADULT, start=13 * 60 + 30)
    said = Mention(t=12, received=12, speaker="attending", text="I worry about sepsis.",
                   concept="sepsis", utterance="u1")  # fmt: skip
    words = Utterance(t=12, received=12, mentions=(said,), id="u1")
    decisions = run(tracer, [*_septic(), words], 60)
    [fired] = [d for d in decisions if d.gap.id == "sep1_sirs_interpretation"]
    assert isinstance(fired, Fired)
    assert "sirs_count >= 2" in fired.rule
    lines = [reason.text for reason in fired.because]
    assert {r.event for r in fired.because} >= {"vital.temp_c@5", "vital.hr@5"}
    assert any("13:35" in line and "vital.hr 112 /min" in line for line in lines)
    assert any("38.3" in line and "Cel" in line for line in lines)
    assert any("I worry about sepsis" in line for line in lines)
    assert "u1" in {r.utterance for r in fired.because}


def test_the_answer_that_closed_a_gap_is_named() -> None:
    tracer = Tracer(NETWORK, ADULT)
    run(tracer, _septic(), 60)
    said = Mention(t=61, received=61, speaker="attending", text="Meets SIRS, likely urinary.",
                   concept="sirs_criteria", utterance="u7")  # fmt: skip
    tracer.add_utterance(Utterance(t=61, received=61, mentions=(said,), id="u7"))
    [closed] = tracer.advance(61)
    assert isinstance(closed, Closed)
    assert (closed.gap.id, closed.by) == ("sep1_sirs_interpretation", "said")
    assert closed.because[0].utterance == "u7"


def test_the_record_that_closed_a_gap_is_named() -> None:
    tracer = Tracer(NETWORK, {"age_years": 64, "sex": "M"})
    chest = Event(kind="cc", concept="cc.chest_pain", t=0, received=0)
    assert [d.gap.id for d in run(tracer, [chest], 6)] == ["chest_pain_ecg_10min"]
    tracer.add(Event(kind="proc", concept="proc.ecg", t=7, received=7, id="ecg1"))
    [closed] = [d for d in tracer.advance(7) if isinstance(d, Closed)]
    assert (closed.by, closed.because[0].event) == ("record", "ecg1")


def test_a_higher_version_of_an_event_takes_its_place_and_a_lower_one_does_not() -> None:
    tracer = Tracer(NETWORK, ADULT)
    low = Event(kind="obs", concept="lab.potassium", t=5, received=5, value=3.1, id="k", version=1)
    high = msgspec.structs.replace(low, value=4.1, version=2, received=6)
    insulin = Event(kind="med_order", concept="med.insulin_iv", t=5, received=5)
    assert "dka_potassium_before_insulin" in {d.gap.id for d in run(tracer, [low, insulin], 6)}
    [closed] = run(tracer, [high], 7)
    assert isinstance(closed, Closed)
    assert run(tracer, [msgspec.structs.replace(low, received=8)], 9) == []
    gone = msgspec.structs.replace(high, version=3, status="entered-in-error", received=10)
    run(tracer, [gone], 12)
    assert tracer.record.facts("obs", "lab.potassium") == []


def test_a_turn_given_to_another_speaker_answers_no_more() -> None:
    tracer = Tracer(NETWORK, ADULT)
    stroke = Event(kind="order", concept="order.stroke_alert", t=0, received=0)

    def words(speaker: str, version: int, t: int) -> Utterance:
        said = Mention(t=1, received=t, speaker=speaker, text="NIH is 12", concept="nihss_total",
                       value=12, utterance="u")  # fmt: skip
        return Utterance(t=1, received=t, mentions=(said,), id="u", version=version)

    run(tracer, [stroke, words("attending", 0, 1)], 10)
    run(tracer, [words("nurse", 1, 11)], 11)
    assert "stroke_nihss" in {d.gap.id for d in tracer.advance(30)}
    withdrawn = msgspec.structs.replace(words("attending", 2, 31), withdrawn=True)
    run(tracer, [withdrawn], 32)
    assert tracer.record.said(("nihss_total",), roles=("attending", "nurse")) == []


def test_age_that_becomes_known_opens_the_adult_rules() -> None:
    tracer = Tracer(NETWORK)
    assert [d.gap.id for d in run(tracer, _septic(), 40)] == []
    tracer.set_patient(age_years=67)
    found = {d.gap.id for d in tracer.advance(60)}
    assert "sep1_sirs_interpretation" in found
    tracer.set_patient(age_years=6)
    assert {d.by for d in tracer.advance(61) if isinstance(d, Closed)} == {"record"}


def test_nothing_is_prompted_after_departure() -> None:
    tracer = Tracer(NETWORK, ADULT)
    tracer.depart(20)
    assert run(tracer, _septic(), 100) == []
    tracer.depart(None)
    assert tracer.advance(101)


def test_time_runs_forward_only() -> None:
    tracer = Tracer(NETWORK, ADULT)
    tracer.advance(10)
    with pytest.raises(ValueError, match="before 10"):
        tracer.advance(9)
    assert tracer.advance(10) == []


def test_reading_a_figure_twice_gives_no_second_prompt() -> None:
    case = dict(random_case(3), profiles=PROFILES)
    ids = [prompt.gap.id for prompt in replay(case)]
    assert len(ids) == len(set(ids))


def test_the_same_version_told_twice_counts_once() -> None:
    tracer = Tracer(NETWORK, ADULT)
    bolus = Event(kind="med_order", concept="med.crystalloid_bolus", t=1, received=1,
                  volume_ml=1000, id="b", version=7)  # fmt: skip
    run(tracer, [bolus, bolus], 2)
    run(tracer, [bolus], 3)
    assert len(tracer.record.facts("med_order", "med.crystalloid_bolus")) == 1


def test_a_result_without_a_value_is_there_and_compares_with_nothing() -> None:
    concepts = ("lab.lactate", "lab.creatinine", "vital.nihss", "vital.weight_kg", "lab.glucose",
                "vital.sbp", "vital.hr", "lab.bhb", "lab.troponin")  # fmt: skip
    tracer = Tracer(NETWORK, ADULT, start=0)
    items: list[Event | Utterance] = [
        Event(kind="obs", concept=concept, t=1, received=1) for concept in concepts
    ]
    items.append(Event(kind="order", concept="order.stroke_alert", t=1, received=1))
    items += [i for i in _septic() if isinstance(i, Event) and i.concept != "vital.hr"]
    fired = {d.gap.id for d in run(tracer, items, 200)}
    assert "stroke_glucose" not in fired
    assert "stroke_nihss" in fired


class _Spy(Record):
    """A record that notes what is asked of it."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        super().__init__({"age_years": 40, "creatinine_baseline": 1.0, "injury_t": 0})
        self.read: set[tuple[str, str]] = set()

    def facts(self, kind: str, *concepts: str) -> list[Event]:
        self.read |= {(kind, concept) for concept in concepts}
        return super().facts(kind, *concepts)

    def said(
        self,
        concepts: tuple[str, ...],
        polarity: str = "affirmed",
        roles: tuple[str, ...] = CLINICIANS,
    ) -> list[Mention]:
        self.read |= {("said", concept) for concept in concepts}
        return super().said(concepts, polarity, roles)

    def criteria(self, group: str, at: int) -> list[str]:
        self.read.add(("met", group))
        return super().criteria(group, at)

    def low_pressures(self, start: int, end: int) -> list[int]:
        self.read.add(("met", "organ"))
        return super().low_pressures(start, end)


@pytest.mark.parametrize("name", [*ANCHORS, *FIGURES])
def test_figures_and_times_declare_all_that_they_read(name: str) -> None:
    """What is read and not declared would not be computed anew when it changes."""
    computed: Computed[int | None] | Computed[float | None] = (ANCHORS | FIGURES)[name]
    for seed in range(10):
        spy = _Spy()
        source = tracer_of(random_case(seed, longest=120))
        source.advance(100)
        spy.now = 100
        spy.anchors = source.record.anchors
        for kind, concept in PAIRS + [("obs", c) for c in RANGES]:
            for event in source.record.facts(kind, concept):
                if event not in spy.facts(kind, concept):
                    spy.insert(event)
        for word in WORDS:
            for mention in source.record.said((word,), "any", ("attending", "nurse")):
                spy.hear(mention)
        spy.read = set()
        computed.compute(spy)
        assert spy.read <= set(computed.keys), spy.read - set(computed.keys)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**12), 10**12),
    st.sampled_from(["", "4.2", ">20", "hemolyzed", "positive", "0", 0, 0.0]),
)
_ANY_EVENT = st.builds(
    lambda pair, t, late, value, unit, more: Event(
        kind=pair[0], concept=pair[1], t=t, received=t + late, value=value, unit=unit, **more
    ),
    st.sampled_from([*PAIRS, *(("obs", concept) for concept in RANGES), ("odd", "odd.thing")]),
    st.integers(-100, 300),
    st.integers(-50, 100),
    _VALUES,
    st.sampled_from([None, "", "mg/dL", "mmol/L", "L", "[degF]", "kg", "g", "furlongs"]),
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from("abc"),
            "replaces": st.sampled_from("abc"),
            "version": st.integers(0, 3),
            "status": st.sampled_from(["final", "cancelled", "entered-in-error", "preliminary"]),
            "end": st.integers(-100, 400),
            "collected": st.integers(-100, 300),
            "volume_ml": st.sampled_from([0.0, 500.0, 1e9]),
            "name": st.text(max_size=60),
        },
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_ANY_EVENT, max_size=25),
    st.booleans(),
    st.sampled_from(
        [{}, ADULT, {"age_years": 5, "phoenix_score": 2}, {"age_years": 70, "sex": "F"}]
    ),
)
def test_no_event_of_a_feed_stops_the_tracer(
    events: list[Event], strict: bool, patient: dict[str, object]
) -> None:
    tracer = Tracer(NETWORK, patient, start=600, require_units=strict)
    for item in _septic():
        assert isinstance(item, Event)
        tracer.add(item)
    for event in events:
        tracer.add(event)
    tracer.advance(150)
    for decision in tracer.advance(500):
        assert isinstance(decision, Closed) or "None" not in decision.text


def test_without_an_arrival_time_texts_count_minutes() -> None:
    tracer = Tracer(NETWORK, ADULT)
    items = [*_septic(), Event(kind="obs", concept="lab.lactate", t=40, received=40, value=3)]
    texts = [d.text for d in run(tracer, items, 170) if isinstance(d, Fired)]
    assert any(text.endswith("Due by minute 220.") for text in texts)
