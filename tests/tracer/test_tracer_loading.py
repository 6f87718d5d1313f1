"""What a site can get wrong in the catalogue or its settings is refused with its place."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bayscribe.errors import ConfigError
from bayscribe.settings import load as load_settings
from bayscribe_relay.tracer.catalogue import FOLDER, load
from bayscribe_relay.tracer.config import TracerConfig, site_gaps, site_lexicon, site_network
from bayscribe_relay.tracer.facts import filled
from bayscribe_relay.tracer.timeline import Event
from bayscribe_relay.tracer.tracer import Tracer

Edit = Callable[[dict[str, Any]], object]


def broken(folder: Path, edit: Edit, file: str = "pe.yaml") -> Path:
    shutil.copytree(FOLDER, folder / "catalogue")
    path = folder / "catalogue" / file
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(tree)
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return folder / "catalogue"


def first(tree: dict[str, Any]) -> dict[str, Any]:
    gap: dict[str, Any] = tree["gaps"][0]
    return gap


def trigger(node: dict[str, Any]) -> Edit:
    return lambda tree: first(tree).update(trigger=node)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (trigger({"calc": {"fn": "sirs", "op": "ge", "value": 2}}), "calc: fn: found 'sirs': "),
        (trigger({"calc": {"fn": "nihss", "op": "over", "value": 2}}), "op: found 'over': "),
        (trigger({"fact": {"kind": "obs", "concept": "lab.sugar"}}), "concept: found 'lab.sugar'"),
        (trigger({"fact": {"kind": "seen", "concept": "lab.ph"}}), "kind: found 'seen'"),
        (trigger({"anchor_known": "lunch"}), "anchor_known: found 'lunch'"),
        (trigger({"anchor_known": "first:obs"}), "anchor_known: found 'first:obs'"),
        (trigger({"patient": {"field": "mood", "op": "eq", "value": 1}}), "field: found 'mood'"),
        (trigger({"said": {"concept": ["grumble"], "by": ["nurse"], "polarity": "any"}}),
         "concept: found 'grumble'"),
        (trigger({"said": {"concept": ["dka"], "by": ["nurse"], "polarity": "loud"}}),
         "polarity: found 'loud'"),
        (trigger({"maybe": []}), "trigger: found 'maybe': expected all, any"),
        (trigger({"all": [], "any": []}), "trigger: a condition is one key"),
        (lambda tree: first(tree).update(profile="night"), "profile: found 'night': expected one"),
        (lambda tree: first(tree).update(priority=1), "priority: found 1"),
        (lambda tree: first(tree).update(enabled_by_default="yes"), "found 'yes': expected true"),
        (lambda tree: tree["gaps"][1].update(order=first(tree)["order"]), "a place of its own"),
        (lambda tree: first(tree).update(colour="red"), "colour: found 'red': expected one of the"),
        (lambda tree: first(tree).pop("title"), "title: found None: expected a value"),
        (lambda tree: tree["gaps"][1].update(id=first(tree)["id"]), "an id of its own; pe.yaml"),
        (lambda tree: first(tree)["attestation"].update(concepts_any_of=["hum"]), "found 'hum'"),
        (lambda tree: first(tree)["attestation"].update(by_roles=["porter"]), "found 'porter'"),
        (lambda tree: first(tree)["prompt"].update(mode="before_deadline"), "deadline: found None"),
        (lambda tree: first(tree)["prompt"].update(grace_min=None), "grace_min: found None"),
        (lambda tree: first(tree)["prompt"].update(grace_min=-1), "grace_min: found -1"),
        (lambda tree: first(tree)["prompt"].update(template="{moon}"), "template: found '{moon}'"),
        (lambda tree: first(tree)["prompt"].update(defer_to_open_prompts=["x"]), "found 'x'"),
        (lambda tree: first(tree).update(deadline={"anchor": "noon", "offset_min": 3}),
         "anchor: found 'noon': expected a named time"),
        (lambda tree: first(tree).update(deadline={"anchor": "arrival", "offset_min": "soon"}),
         "offset_min: found 'soon': expected minutes"),
        (lambda tree: first(tree)["facts"][0].update(source="hearsay"), "source: found 'hearsay'"),
        (lambda tree: first(tree).update(facts=[{"claim": "x", "verified": False, "source": "gk"}]),
         "confirm: found None"),
    ],
)  # fmt: skip
def test_a_wrong_catalogue_is_refused_with_file_gap_key_value_and_what_was_expected(
    tmp_path: Path, edit: Edit, named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(broken(tmp_path, edit))
    assert "pe.yaml: pe_" in str(refused.value)
    assert named in str(refused.value)


def test_a_deadline_prompt_without_a_lead_time_is_refused(tmp_path: Path) -> None:
    def edit(tree: dict[str, Any]) -> None:
        gap = next(g for g in tree["gaps"] if g["id"] == "stroke_ct")
        gap["prompt"]["lead_min"] = None

    with pytest.raises(ConfigError, match=r"stroke.yaml: stroke_ct: prompt: lead_min: found None"):
        load(broken(tmp_path, edit, "stroke.yaml"))


def test_a_file_that_is_not_yaml_or_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"concepts\.yaml"):
        load(tmp_path)
    folder = broken(tmp_path, lambda _: None)
    (folder / "pe.yaml").write_text("gaps: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pe\.yaml: not YAML"):
        load(folder)


def settings(folder: Path, text: str) -> TracerConfig:
    path = folder / "tracer.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, TracerConfig)


def test_a_site_sets_profiles_switches_times_and_thresholds(tmp_path: Path) -> None:
    config = settings(
        tmp_path,
        """
        profiles = ["acute", "screening"]
        on = ["hiv_screen_offered"]
        off = ["sep1_crystalloid_borderline"]
        [lead_min]
        sep1_repeat_lactate = 90
        [grace_min]
        stroke_nihss = 5
        [deadline_min]
        stroke_ct = 20
        [thresholds.sep1_crystalloid_shortfall]
        "crystalloid_ml_per_kg lt" = 30
        [thresholds.icd_aki_linkage]
        "creatinine_rise_48h" = 0.5
        """,
    )
    gaps = {gap.id: gap for gap in site_gaps(config)}
    assert {gap.profile for gap in gaps.values()} == {"acute", "screening"}
    assert "hiv_screen_offered" in gaps
    assert "hcv_screen_offered" not in gaps
    assert "sep1_crystalloid_borderline" not in gaps
    assert gaps["sep1_repeat_lactate"].lead_min == 90
    assert gaps["stroke_nihss"].grace_min == 5
    assert gaps["stroke_ct"].deadline_min == 20
    tracer = Tracer(site_network(config), {"age_years": 50})
    tracer.add(Event(kind="order", concept="order.stroke_alert", t=0, received=0))
    assert "stroke_nihss" in {d.gap.id for d in tracer.advance(5)}
    shifted = repr(gaps["icd_aki_linkage"].trigger)
    assert "'creatinine_rise_48h', op='ge', value=0.5" in shifted
    assert site_network(config) is site_network(config), "one graph for all encounters"
    assert site_lexicon(config).concepts


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("off = ['sep1_nothing']", "tracer.off: found 'sep1_nothing'"),
        ("on = ['x']", "tracer.on: found 'x'"),
        ("profiles = ['nights']", "tracer.profiles: found 'nights'"),
        ("[lead_min]\nstroke_nihss = 5", "tracer.lead_min.stroke_nihss: found 5"),
        ("[grace_min]\nstroke_ct = 5", "tracer.grace_min.stroke_ct: found 5"),
        ("[grace_min]\nstroke_nihss = -5", "found -5: expected 0 or more"),
        ("[deadline_min]\nstroke_nihss = 5", "expected a gap with a deadline"),
        ("[thresholds.stroke_nihss]\nnihss = 5", "found 'nihss': expected one of none"),
        ("[thresholds.sep1_crystalloid_shortfall]\ncrystalloid_ml_per_kg = 5",
         "crystalloid_ml_per_kg gt, crystalloid_ml_per_kg lt"),
    ],
)  # fmt: skip
def test_unknown_names_in_a_sites_settings_are_refused(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        site_gaps(settings(tmp_path, text))
    assert named in str(refused.value)


def test_unknown_keys_in_a_sites_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="grace: is not a known key"):
        settings(tmp_path, "grace = 5")


def test_a_site_may_bring_its_own_catalogue(tmp_path: Path) -> None:
    folder = broken(tmp_path, lambda tree: first(tree).update(title="Ours"))
    config = TracerConfig(catalogue=str(folder))
    assert "Ours" in {gap.title for gap in site_gaps(config)}


def test_the_document_lists_the_facts_that_the_catalogue_leaves_open() -> None:
    path = Path(__file__).parents[2] / "docs" / "tracer.md"
    text = path.read_text(encoding="utf-8")
    assert filled(text) == text, "run python -m bayscribe_relay.tracer.facts docs/tracer.md"
    doubts = [doubt for gap in load() for doubt in gap.doubts]
    assert len(doubts) == 84
    assert all(doubt.confirm for doubt in doubts)
