"""ICD-10-CM specificity: what the record would support, offered and never assigned.

Codes: ICD-10-CM (CDC/NCHS, public domain), categories A41 and R65.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bayscribe_relay.clinical.drafts import Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.notes.charted import links
from bayscribe_relay.notes.facts import numeric

ORGANISMS: Final = {
    "escherichia coli": "A41.51", "e. coli": "A41.51", "pseudomonas": "A41.52",
    "serratia": "A41.53", "enterococcus": "A41.81", "haemophilus influenzae": "A41.3",
    "methicillin resistant staphylococcus aureus": "A41.02",
    "methicillin susceptible staphylococcus aureus": "A41.01",
    "streptococcus pneumoniae": "A40.3",
}  # fmt: skip
_CREATININE_RISE: Final = 0.3
_INR: Final = 1.5
_LACTATE: Final = 2.0
_FLUID_ML_KG: Final = 30.0


def statements(facts: Sequence[ClinicalEvent]) -> list[Sentence]:
    """Suggestions, each open until the clinician decides."""
    return [*_organism(facts), *_dysfunction(facts), *_shock(facts)]


def open_prompts(prompts: Iterable[PromptCard], facts: Sequence[ClinicalEvent]) -> list[Sentence]:
    """Recommendations that were given and not answered, where the record shows why."""
    known = {event.id: event for event in facts}
    found = []
    for card in prompts:
        events = [known[ref] for ref in card.events if ref in known]
        if card.state in ("shown", "unanswered") and events:
            text = f"Recommendation not answered: {card.text}"
            made = Sentence(
                id=f"prompt-{card.gap}", text=text, origin="suggestion", links=links(events)
            )
            found.append(made)
    return found


def _offer(ident: str, text: str, events: Sequence[ClinicalEvent]) -> Sentence:
    return Sentence(
        id=f"icd-{ident}",
        text=f"Suggestion to consider (ICD-10-CM): {text}",
        origin="suggestion",
        links=links(events),
    )


def _organism(facts: Sequence[ClinicalEvent]) -> list[Sentence]:
    found = []
    for event in facts:
        if event.concept != "lab.blood_culture_organism" or not isinstance(event.value, str):
            continue
        grown = event.value.strip()
        if not grown or "no growth" in grown.casefold():
            continue
        code = next((c for n, c in ORGANISMS.items() if n in grown.casefold()), None)
        named = f"{code} rather than A41.9" if code else "a code that names it rather than A41.9"
        text = f"the blood culture grew {grown}; if it causes sepsis, {named}."
        found.append(_offer(f"organism-{event.id}", text, [event]))
    return found


def _dysfunction(facts: Sequence[ClinicalEvent]) -> list[Sentence]:
    found = []
    creatinine = numeric(facts, "lab.creatinine")
    if creatinine:
        low, high = min(creatinine, key=lambda p: p[1]), creatinine[-1]
        rise = round(high[1] - low[1], 6)
        if rise > _CREATININE_RISE and low[0].clinical_ns < high[0].clinical_ns:
            found.append(_link_to_sepsis("creatinine", "the creatinine rise", [low[0], high[0]]))
    inr = [pair for pair in numeric(facts, "lab.inr") if pair[1] > _INR]
    on_blood_thinner = any(e.concept == "hx.anticoagulant" for e in facts)
    if inr and not on_blood_thinner:
        found.append(_link_to_sepsis("inr", "the raised INR", [inr[-1][0]]))
    oxygen = [pair for pair in numeric(facts, "vital.o2_flow_lpm") if pair[1] > 0]
    at_home = any(e.concept == "hx.home_oxygen" for e in facts)
    if oxygen and not at_home:
        found.append(_link_to_sepsis("oxygen", "the new oxygen requirement", [oxygen[0][0]]))
    return found


def _link_to_sepsis(ident: str, what: str, events: Sequence[ClinicalEvent]) -> Sentence:
    text = f"if {what} is organ dysfunction due to sepsis, say so: R65.20."
    return _offer(f"dysfunction-{ident}", text, events)


def _shock(facts: Sequence[ClinicalEvent]) -> list[Sentence]:
    pressors = [e for e in facts if e.kind == "med_given" and e.concept == "med.vasopressor"]
    weights = [w for w in numeric(facts, "vital.weight_kg") if w[1] > 0 and w[0].unit]
    boluses = [e for e in facts if e.kind == "med_given" and e.concept == "med.crystalloid_bolus"]
    if not pressors or not weights or not boluses:
        return []
    total, done = 0.0, None
    for event in boluses:
        total += event.volume_ml
        if total / weights[-1][1] >= _FLUID_ML_KG:
            done = event.end_ns if event.end_ns is not None else event.clinical_ns
            break
    if done is None:
        return []
    lactates = [
        e
        for e, v in numeric(facts, "lab.lactate")
        if v > _LACTATE and (e.collected_ns or e.clinical_ns) >= done
    ]
    if not lactates:
        return []
    text = "vasopressor and lactate after the fluid bolus; if this is septic shock, R65.21."
    return [_offer("shock", text, [*pressors[:1], lactates[-1], *boluses, weights[-1][0]])]
