"""One patient from the door to the chart: ADT, audio, orders, prompts, draft, signature.

Every service is the product's own and runs as a process: appliance on a recorded microphone,
relay with all its parts, gateway, and an EMR that loses an answer.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bayscribe.errors import BadUse
from bayscribe_relay.attest.signing import Signing
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.stays import Clinician, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.writeback.outbox import Outbox
from bayscribe_relay.writeback.states import State
from emr.process import EmrProcess
from emr_feed.hl7_sender import Sender, verdict
from emr_feed.hospital import pv1
from free_ports import free_port
from hil.bay import BIN, SCENES, Bay, Service, profile_for, sh
from hil.chart import HOSPITAL, Chart

SCENE = SCENES / "sepsis-6mic-60db"
"""Loud, and still such that the small model hears words within its first quarter of a minute."""
PARTS = """
[feed]
site = "demo"

[feed.mllp]
port = {mllp}

[encounters.bays]
"ED^7^A" = "bay-07"

[encounters.units]
"bay-07" = "bay-07"

[transcribe]

# The site prompts at once what it otherwise leaves ten minutes to be said unasked.
[tracer.grace_min]
sep1_sirs_interpretation = 0

[prompts]
bay = "off"
most = 20
apart_s = 0.0

[notes]
"""
CLINICIAN = Clinician(npi="1234567893", family="Rivera", given="Ana", label="clinician")
NOW = datetime.now(UTC).replace(microsecond=0)


class Ward:
    """The bay with the whole relay behind it, and the hospital's interface engine."""

    def __init__(self, folder: Path) -> None:
        self.mllp = free_port()
        self.bay = Bay(folder, profile_for(SCENE / "mics.flac"), SCENE / "enrol_clinician.flac")
        self.chart = Chart(self.bay)
        relay = self.bay.relay / "relay.toml"
        relay.write_text(relay.read_text() + PARTS.format(mllp=self.mllp))
        unit = self.bay.unit / "bayscribe.toml"
        unit.write_text(unit.read_text().replace('mode = "always"', 'mode = "commanded"'))
        self.bay.start_relay()
        self.store = ClinicalStore(f"sqlite:///{self.bay.relay / 'relay.db'}")
        self._control = 0

    def send(self, kind: str, minutes_ago: int, *segments: str) -> None:
        """A message of the patient, acknowledged."""
        self._control += 1
        sent = stamp(minutes_ago)
        head = f"MSH|^~\\&|EMR|GH|||{sent}||{kind}|E{self._control}|P|2.5.1"
        lines = [head, "PID|1||4711^^^GH^MR||Doe^Jane||19560401|F", *segments]
        if not any(line.startswith("PV1") for line in segments):
            lines.insert(2, pv1(visit="V1"))

        async def exchange() -> tuple[str, str]:
            async with Sender.connected(self.mllp) as sender:
                return verdict(await sender.exchange("\r".join(lines) + "\r"))

        assert asyncio.run(exchange()) == ("AA", f"E{self._control}")

    def stay(self) -> Stay:
        found = self.store.stay_of_visit("demo", "V1")
        assert found is not None
        return found

    def values(self) -> dict[str, object]:
        """What was charted, by concept."""
        found = self.store.events(self.stay().id)
        return {e.concept: e.value for e in found if e.kind == "obs"}

    def prompts(self) -> dict[str, PromptCard]:
        return {card.gap: card for card in self.store.prompts(self.stay().id)}


def stamp(minutes_ago: int) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).strftime("%Y%m%d%H%M%S") + "+0000"


def until(condition: Callable[[], object], what: str, patience_s: float = 90.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path / "ward")
    yield made
    made.store.close()
    made.bay.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_patient_with_sepsis_from_the_door_to_the_chart(ward: Ward) -> None:
    _admit(ward)
    unit = ward.bay.start_unit()
    until(lambda: ward.bay.state()["state"] == "recording", "the relay's command to record")
    ward.bay.play(SCENE / "mics.flac")
    _order_and_chart(ward)
    until(lambda: any(u.text for u in ward.store.utterances(stay=ward.stay().id)), "words")
    _expect_prompts(ward)
    _discharge(ward)
    until(lambda: ward.bay.state()["state"] == "idle", "the end of recording")
    unit.stop()
    _sign(ward)
    _verify_package(ward)


def _admit(ward: Ward) -> None:
    ward.send("ADT^A04", 53, f"EVN||{stamp(53)}", pv1("ED^7^A", visit="V1", arrived=stamp(53)))
    until(lambda: ward.store.stay_of_visit("demo", "V1"), "the stay")
    # What the EMR's FHIR side says of the same visit: its logical ids.
    stay = ward.stay()
    patient = msgspec.structs.replace(stay.patient, id="pat-1")
    ward.store.put_stay(msgspec.structs.replace(stay, patient=patient, fhir_id="enc-1"))


def _order_and_chart(ward: Ward) -> None:
    ward.send(
        "ORU^R01",
        48,
        f"OBR|1||VS1|VS^Vitals^L|||{stamp(48)}",
        f"OBX|1|NM|8310-5^Temp^LN||38.4|Cel|||||F|||{stamp(48)}",
        f"OBX|2|NM|8867-4^HR^LN||112|/min|||||F|||{stamp(48)}",
        f"OBX|3|NM|29463-7^Weight^LN||68|kg|||||F|||{stamp(47)}",
    )
    for number, (code, name) in enumerate((("600-7", "Blood culture"), ("2524-7", "Lactate"))):
        ward.send(
            "ORM^O01",
            38,
            f"ORC|NW|P{number}|F{number}||||||{stamp(38)}",
            f"OBR|1|P{number}|F{number}|{code}^{name}^LN",
        )
    ward.send(
        "ORU^R01",
        5,
        f"OBR|1|P1|F1|2524-7^Lactate^LN|||{stamp(20)}|||||||||||||||{stamp(5)}|||F",
        f"OBX|1|NM|2524-7^Lactate^LN||4.2|mmol/L|0.5-2.0|HH|||F|||{stamp(20)}",
    )


def _expect_prompts(ward: Ward) -> None:
    """T 38.4 and HR 112 are charted and unspoken, and the lactate starts its clock."""
    until(lambda: any("sirs" in gap for gap in ward.prompts()), "the prompt for SIRS")
    card = next(card for gap, card in ward.prompts().items() if "sirs" in gap)
    assert "38.4" in card.text
    assert "112" in card.text
    until(lambda: ward.prompts()[card.gap].state == "shown", "the page's prompt")
    assert card.explanation
    until(lambda: "lab.lactate" in ward.values(), "the lactate")
    values = ward.values()
    assert values["lab.lactate"] == 4.2
    assert values["vital.weight_kg"] == 68


def _discharge(ward: Ward) -> None:
    left = datetime.now(UTC).strftime("%Y%m%d%H%M%S") + "+0000"
    ward.send("ADT^A03", 0, f"EVN||{left}", pv1("ED^7^A", visit="V1", left=left))
    until(lambda: ward.stay().state == "closed", "the discharge")


def _sign(ward: Ward) -> None:
    """Reject what is only suggested, sign, and wait until the note is verified in the chart."""
    until(lambda: ward.store.draft(ward.stay().id), "the draft")
    signing = Signing(ward.store)
    folder = ward.chart.folder / "emr"
    with EmrProcess(folder, {}, ("--port", str(ward.chart.emr_port))) as emr:
        emr.seed(*HOSPITAL)
        emr.script({"fault": "answer-lost", "operation": "transaction"})
        command = [str(BIN / "bayscribe-gateway"), "serve", "--config", str(ward.chart.config)]
        gateway = Service("gateway", command, ward.bay.folder / "gateway.log", {})
        try:
            gateway.await_ready()
            key = _signed(ward, signing)
            outbox = Outbox(f"sqlite:///{ward.bay.relay / 'relay.db'}", "test", 10.0)
            until(
                lambda: (letter := outbox.get(key)) and letter.state is State.VERIFIED,
                "the note in the chart",
            )
            letter = outbox.get(key)
            outbox.close()
        finally:
            gateway.stop()
        assert letter is not None
        assert emr.census().of(key).exactly_once(letter.note_sha256)


def _signed(ward: Ward, signing: Signing) -> str:
    """What is only suggested is rejected; a draft that is composed anew meanwhile is looked at."""
    stay = ward.stay().id
    for _ in range(20):
        draft = ward.store.draft(stay)
        assert draft is not None
        sections = tuple(
            msgspec.structs.replace(
                section,
                sentences=tuple(
                    msgspec.structs.replace(sentence, outcome="rejected")
                    if sentence.origin == "suggestion"
                    else sentence
                    for sentence in section.sentences
                ),
            )
            for section in draft.sections
        )
        decided = msgspec.structs.replace(draft, sections=sections, revision=draft.revision + 1)
        try:
            ward.store.put_draft(decided)
            preview = signing.preview(stay, CLINICIAN)
            assert "38.4" in preview.text
            return signing.sign_now(stay, CLINICIAN, preview.revision, preview.sha256).key
        except BadUse as error:
            if error.code not in ("revision", "undecided"):
                raise
    raise AssertionError("the draft never came to rest")


def _verify_package(ward: Ward) -> None:
    """From the microphone to the chart, checked by a program that knows the package alone."""
    relay, package = ward.bay.relay / "relay.toml", ward.bay.folder / "package.zip"
    made = sh(
        str(BIN / "bayscribe-relay"), "pki", "custody", "custody", "--dir", str(ward.bay.keys)
    )
    certificate = next(ward.bay.keys.glob("custody*.pem"))
    relay.write_text(
        f'{relay.read_text()}\n[custody]\ncertificate = "../keys/{certificate.name}"\n'
        f'key = "../keys/{certificate.with_suffix(".key").name}"\n'
    )
    assert made
    sh(
        str(BIN / "bayscribe-relay"), "custody", "V1", "--config", str(relay), "--out", str(package)
    )  # fmt: skip
    trust = str(ward.bay.keys / "ca.pem")
    assert "verified" in sh(str(BIN / "bayscribe-verify"), str(package), "--trust", trust)
