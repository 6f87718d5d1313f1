"""Units and fleet on a real mosquitto: states, alarms, access, commands, a killed broker."""

import json
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bayscribe.errors import LinkError
from bayscribe.telemetry.client import client_context
from bayscribe.wire.fleet import Alarm, Answer, FromUnit, Topic
from bayscribe.wire.signed_command import new_body, sign
from bayscribe_relay.fleet.model import Row
from bayscribe_relay.fleet.subscriber import Fleet
from bayscribe_relay.pki.authority import Authority
from telemetry.site_broker import SiteBroker, until
from telemetry.unit_rig import GOOD, LOST, UnitRig


@pytest.fixture
def fleet(site: SiteBroker) -> Iterator[Fleet]:
    made = Fleet(site.fleet_config())
    made.start()
    assert made.connected.wait(30)
    yield made
    made.stop()


@pytest.fixture
def unit(site: SiteBroker, tmp_path: Path) -> Iterator[UnitRig]:
    rig = UnitRig(tmp_path / "unit", site.port, site.device("bay-07"))
    rig.telemetry.start()
    until(lambda: rig.telemetry.link().up, "the broker")
    yield rig
    rig.telemetry.stop()


def row(fleet: Fleet, device: str = "bay-07") -> Row | None:
    return next((one for one in fleet.rows() if one.device == device), None)


def heard(fleet: Fleet) -> list[FromUnit]:
    said: list[FromUnit] = []
    fleet.tell(lambda _topic, message: said.append(message))
    return said


def test_the_fleet_sees_state_levels_buffer_and_alarms(fleet: Fleet, unit: UnitRig) -> None:
    said = heard(fleet)
    unit.look(GOOD)
    until(lambda: (found := row(fleet)) and found.loudest_db_spl == 62.0, "levels")
    seen = row(fleet)
    assert seen is not None
    assert (seen.online, seen.activity, seen.pending, seen.severity) == (True, "recording", 2, "ok")
    assert seen.may_go_live
    unit.look(LOST)
    until(lambda: any(isinstance(one, Alarm) and one.raised for one in said), "the alarm")
    until(lambda: (found := row(fleet)) and found.severity == "warning", "the warning")
    for _ in range(12):
        unit.look(GOOD)
    until(lambda: any(isinstance(one, Alarm) and not one.raised for one in said), "its end")
    until(lambda: (found := row(fleet)) and found.severity == "ok", "all well again")


def test_an_orderly_stop_and_a_dead_unit_are_both_offline(
    fleet: Fleet, site: SiteBroker, tmp_path: Path
) -> None:
    rig = UnitRig(tmp_path / "u", site.port, site.device("bay-08"), "bay-08")
    rig.telemetry.start()
    until(lambda: (found := row(fleet, "bay-08")) and found.online, "online")
    rig.telemetry.stop()
    until(lambda: (found := row(fleet, "bay-08")) and not found.online, "goodbye")
    dead = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bay-09", protocol=mqtt.MQTTv5)
    files = site.device("bay-09")
    dead.tls_set_context(client_context(files))
    topic = str(Topic("demo", "bay-09", "bay-09", "status"))
    dead.will_set(topic, b'{"v":1,"state":"offline"}', qos=1, retain=True)
    dead.connect("localhost", site.port)
    dead.loop_start()
    dead.publish(topic, b'{"v":1,"state":"online"}', qos=1, retain=True)
    until(lambda: (found := row(fleet, "bay-09")) and found.online, "online")
    socket = dead.socket()
    assert socket is not None
    dead.loop_stop()
    socket.close()
    until(lambda: (found := row(fleet, "bay-09")) and not found.online, "the last will")


def test_a_foreign_certificate_is_refused(site: SiteBroker, tmp_path: Path) -> None:
    rogue = Authority.create("Rogue CA")
    rig = UnitRig(tmp_path / "u", site.port, site.device("bay-66", rogue), "bay-66")
    rig.telemetry.start()
    try:
        until(lambda: rig.telemetry.link().problem, "a refusal")
        assert not rig.telemetry.link().up
    finally:
        rig.telemetry.stop()


def test_a_unit_can_write_and_read_nobody_elses_topics(
    fleet: Fleet, unit: UnitRig, site: SiteBroker
) -> None:
    unit.look(GOOD)
    thief = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bay-13", protocol=mqtt.MQTTv5)
    thief.tls_set_context(client_context(site.device("bay-13")))
    got: list[str] = []
    thief.on_message = lambda _c, _d, message: got.append(message.topic)
    done: list[object] = []
    thief.on_publish = lambda _c, _d, _m, code, _p: done.append(code)
    thief.connect("localhost", site.port)
    thief.loop_start()
    thief.subscribe("bayscribe/v1/#", qos=1)
    forged = b'{"v":1,"state":"offline"}'
    thief.publish("bayscribe/v1/demo/bay-07/bay-07/status", forged, qos=1, retain=True)
    thief.publish("bayscribe/v1/demo/bay-13/bay-07/command", b"{}", qos=1)
    until(lambda: len(done) == 2, "the broker's answers")
    assert all("Not authorized" in str(code) for code in done)
    unit.look(LOST)
    until(lambda: (found := row(fleet)) and found.severity == "warning", "the warning")
    found = row(fleet)
    assert found is not None
    assert found.online
    assert got == []
    thief.loop_stop()
    thief.disconnect()


def test_a_broker_that_was_killed_costs_nothing_but_the_oldest(
    fleet: Fleet, unit: UnitRig, site: SiteBroker
) -> None:
    unit.look(GOOD)
    site.kill()
    until(lambda: not unit.telemetry.link().up, "the loss")
    for _ in range(8):
        unit.look(LOST)
        for _ in range(11):
            unit.look(GOOD)
    assert unit.telemetry.link().dropped == 8
    site.start()
    until(lambda: unit.telemetry.link().up, "the broker")
    until(lambda: len(unit.telemetry._outbox) == 0, "what was queued to be taken")
    until(fleet.connected.is_set, "the fleet to be back")
    until(lambda: (found := row(fleet)) and found.online, "online")
    unit.look(LOST)
    until(lambda: (found := row(fleet)) and found.severity == "warning", "the present")


def test_commands_are_carried_out_and_answered(fleet: Fleet, unit: UnitRig) -> None:
    unit.look(LOST)
    until(lambda: row(fleet), "the unit")
    assert fleet.command("bay-07", "mute").outcome == "done"
    assert unit.muted
    assert fleet.command("bay-07", "unmute").outcome == "done"
    assert [command.name for command in unit.obeyed] == ["mute", "unmute"]
    tested = fleet.command("bay-07", "self-test")
    assert (tested.outcome, tested.result["severity"]) == ("done", "warning")
    assert tested.result["problems"] == ["sound-lost"]
    found = fleet.command("bay-07", "diagnostics").result
    assert set(found) == {"figures", "problems", "threads", "warnings"}
    refused = fleet.command("bay-07", "stage-update", {"url": "http://elsewhere/x"})
    assert (refused.outcome, refused.reason) == ("failed", "update-request")
    url = "https://relay.example/v1/updates/bayscribe-0.2.raucb"
    staged = fleet.command(
        "bay-07", "stage-update", {"url": url, "sha256": "ab" * 32, "size": "1000"}
    )
    assert staged.outcome == "done"
    assert json.loads((unit.folder / "update.json").read_text())["sha256"] == "ab" * 32


def test_a_certificate_is_renewed_with_the_units_own_key(
    fleet: Fleet, unit: UnitRig, site: SiteBroker
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    unit.look(GOOD)
    until(lambda: row(fleet), "the unit")
    request = str(fleet.command("bay-07", "rotate-certificate").result["request"])
    public = x509.load_pem_x509_csr(request.encode()).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    foreign = site.authority.device("bay-08", public_key=public, days=900).pem().decode()
    other_key = site.authority.device("bay-07", days=900).pem().decode()
    for bad in (foreign, other_key, "not a certificate"):
        answer = fleet.command("bay-07", "rotate-certificate", {"certificate": bad})
        assert (answer.outcome, answer.reason) == ("failed", "certificate-refused")
    before = unit.files.certificate.read_bytes()
    assert unit.renewed == 0
    good = site.authority.device("bay-07", public_key=public, days=900).pem()
    answer = fleet.command("bay-07", "rotate-certificate", {"certificate": good.decode()})
    assert answer.outcome == "done"
    assert unit.files.certificate.read_bytes() == good != before
    assert unit.renewed == 1
    unit.restart()
    until(lambda: unit.telemetry.link().up, "the broker, with the new certificate")


def test_only_the_fleets_own_fresh_commands_are_obeyed(
    fleet: Fleet, unit: UnitRig, site: SiteBroker
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    unit.look(GOOD)
    until(lambda: row(fleet), "the unit")
    answers: list[Answer] = []
    fleet.tell(lambda _t, one: answers.append(one) if isinstance(one, Answer) else None)
    topic = "bayscribe/v1/demo/bay-07/bay-07/command"

    def send(payload: bytes) -> Answer:
        count = len(answers)
        fleet._client.publish(topic, payload, qos=1)
        until(lambda: len(answers) > count, "an answer")
        return answers[-1]

    good = new_body("bay-07", "self-test")
    payload = sign(site.command_key, good)
    assert send(payload).outcome == "done"
    again = send(payload)
    assert (again.outcome, again.reason, again.id) == ("refused", "replayed", good.id)
    unit.restart()
    until(lambda: unit.telemetry.link().up, "the broker")
    assert send(payload).reason == "replayed"
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert send(sign(stranger, new_body("bay-07", "mute"))).reason == "bad-signature"
    assert send(sign(site.command_key, new_body("bay-08", "mute"))).reason == "foreign-device"
    old = new_body("bay-07", "mute", life_s=-10)
    assert send(sign(site.command_key, old)).reason == "expired"
    eternal = new_body("bay-07", "mute", life_s=10**6)
    assert send(sign(site.command_key, eternal)).reason == "too-long-lived"
    changed = payload.replace(b"self-test", b"stage-update")
    assert send(changed).reason == "bad-signature"
    assert send(b"{").reason == "malformed"
    assert unit.obeyed == []


def test_a_mute_that_does_not_show_is_not_called_done(
    fleet: Fleet, unit: UnitRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayscribe.telemetry.actions.PATIENCE_S", 0.3)
    unit.look(GOOD)
    until(lambda: row(fleet), "the unit")
    unit.obeys = False
    answer = fleet.command("bay-07", "mute")
    assert (answer.outcome, answer.reason) == ("failed", "no-effect")
    unit.telemetry.stop()
    with pytest.raises(LinkError):
        fleet.command("bay-07", "mute", patience_s=0.3)
