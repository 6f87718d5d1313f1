"""The EMR's own ids of a stay that came by HL7 v2, found by its business identifiers.

HL7 v2 names a patient by record number and a stay by visit number; a FHIR write needs the
logical ids of Patient and Encounter. They are searched by identifier (FHIR R4, 3.1.1.5.13,
token search ``system|value``) and taken only if there is exactly one of each and nothing
contradicts: a note in another patient's chart harms two people, a note not signed yet harms
nobody. Refusals name no patient, on the page as in the log.
"""

import asyncio
import logging
import unicodedata
from typing import Final, NamedTuple, NoReturn
from urllib.parse import quote

import msgspec

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.stays import Patient, Stay
from bayscribe_relay.emr_feed.config import PatientConfig
from bayscribe_relay.emr_feed.fhir_client import FhirReader, NotNow, NotThere
from bayscribe_relay.emr_feed.fhir_notice import Resource, local, reference_of
from bayscribe_relay.emr_feed.fhir_values import node, nodes, text
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.writeback.note import fhir_id_valid

log = logging.getLogger("bayscribe.feed")
_NO_STAY: Final = ("cancelled", "entered-in-error", "planned")
_BY_HAND: Final = "write this note in the chart by hand, and tell operations"


class Found(NamedTuple):
    """Logical ids of one stay."""

    patient: str
    encounter: str


class FhirIdentity:
    """Finds and keeps the EMR's ids of stays.

    Args:
        desk: changes stays.
        reader: reads the EMR.
        config: the site's identifier systems.
    """

    def __init__(self, desk: Desk, reader: FhirReader, config: PatientConfig) -> None:
        self._desk = desk
        self._reader = reader
        self._config = config

    async def settle(self, stay: str) -> None:
        """Give a stay the EMR's ids if it has not got them yet.

        Raises:
            BadUse: ``identity``: there is not exactly one agreeing Patient and Encounter;
                ``identity-later``: the EMR does not answer now.
            StorageError: they cannot be kept.
        """
        known = await asyncio.to_thread(self._desk.store.stay, stay)
        if known is None or (known.patient.id and known.fhir_id):
            return
        try:
            found = await self._find(known)
        except NotNow as why:
            log.warning("stay %s: the EMR does not name its chart now: %s", stay, why)
            raise BadUse(
                "the EMR cannot be asked for this patient's chart now",
                "nothing is lost: try again in a minute",
                code="identity-later",
            ) from None
        except NotThere as why:
            _refuse(stay, f"the EMR does not allow the search ({why})")
        await asyncio.to_thread(self._keep, known, found)

    async def _find(self, stay: Stay) -> Found:
        config, who = self._config, stay.patient
        if not config.mrn_system or not config.visit_system:
            _refuse(stay.id, "the site's identifier systems are not configured")
        if not who.mrn or not stay.visit_number:
            _refuse(stay.id, "the stay has no record number or no visit number")
        patient = await self._one(stay.id, "Patient", config.mrn_system, who.mrn)
        encounter = await self._one(stay.id, "Encounter", config.visit_system, stay.visit_number)
        _agree(stay, patient, encounter)
        return Found(text(patient.get("id")), text(encounter.get("id")))

    async def _one(self, stay: str, kind: str, system: str, value: str) -> Resource:
        """The one resource that carries an identifier.

        A server that does not know the parameter gives everything it has: that is several,
        or one that does not carry what was asked for.
        """
        found = await self._reader.search(kind, f"identifier={token(system, value)}")
        several = {reference_of(resource): resource for resource in found}
        if len(several) != 1:
            count = "no" if not several else "more than one"
            _refuse(stay, f"the EMR has {count} {kind} with this number")
        (resource,) = several.values()
        carried = [
            i
            for i in nodes(resource.get("identifier"))
            if i.get("system") == system and i.get("value") == value and i.get("use") != "old"
        ]
        if not carried or not fhir_id_valid(text(resource.get("id"))):
            _refuse(stay, f"the {kind} that the EMR gives does not carry this number")
        return resource

    def _keep(self, asked: Stay, found: Found) -> None:
        with self._desk.transaction() as link:
            stay = self._desk.store.stay(asked.id, link)
            if stay is not None and (stay.patient.id, stay.fhir_id) == found:
                return
            if stay is None or _whose(stay) != _whose(asked):
                raise BadUse(
                    "the stay has changed meanwhile", "look at it again", code="identity-later"
                )
            patient = msgspec.structs.replace(stay.patient, id=found.patient)
            renewed = msgspec.structs.replace(stay, patient=patient, fhir_id=found.encounter)
            self._desk.store.put_stay(renewed, link)
            audit.record(self._desk.store, "emr-feed", "chart-found", stay.id, "", link)


def token(system: str, value: str) -> str:
    """A token search's value: separators escaped (R4, 3.1.1.5.17), then percent-encoded."""
    escaped = ["".join(f"\\{c}" if c in "\\$,|" else c for c in part) for part in (system, value)]
    return quote("|".join(escaped), safe="")


def _whose(stay: Stay) -> tuple[Patient, str, str, str]:
    return stay.patient, stay.visit_number, stay.fhir_id, stay.state


def _agree(stay: Stay, patient: Resource, encounter: Resource) -> None:
    """Nothing that both sides know may differ.

    Raises:
        BadUse: ``identity``.
    """
    who = stay.patient
    if local(node(encounter.get("subject")).get("reference")) != reference_of(patient):
        _refuse(stay.id, "the EMR's Encounter is not this Patient's")
    if encounter.get("status") in _NO_STAY:
        _refuse(stay.id, "the EMR's Encounter is cancelled, planned or entered in error")
    replaced = any(link.get("type") == "replaced-by" for link in nodes(patient.get("link")))
    if replaced or patient.get("active") is False:
        _refuse(stay.id, "the EMR's Patient is no longer in use")
    born = text(patient.get("birthDate"), 10)
    if born and who.birth_date and not who.birth_date.startswith(born):
        _refuse(stay.id, "the birth date is not the one in the EMR's Patient")
    families = {_letters(text(name.get("family"))) for name in nodes(patient.get("name"))} - {""}
    if families and _letters(who.family) and _letters(who.family) not in families:
        _refuse(stay.id, "the family name is not one of the EMR's Patient")
    for mine, theirs in ((who.id, patient.get("id")), (stay.fhir_id, encounter.get("id"))):
        if mine and mine != theirs:
            _refuse(stay.id, "the EMR has told another id of this stay before")


def _letters(name: str) -> str:
    """A name for comparison: HL7 v2 often has no accents, hyphens or small letters."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(c for c in plain if c.isalnum())


def _refuse(stay: str, why: str) -> NoReturn:
    log.error("stay %s cannot be signed for: %s", stay, why)
    raise BadUse(f"this note cannot be put into the chart: {why}", _BY_HAND, code="identity")
