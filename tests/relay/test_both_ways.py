import asyncio
import contextlib
from pathlib import Path
from queue import Queue

import pytest
import sqlalchemy as sa
from websockets.exceptions import ConnectionClosed

from bayscribe.uplink.core import Alarm, AlarmCode, State
from bayscribe.uplink.link import Callbacks
from bayscribe.wire.messages import (
    CLOSE_OVERLOADED,
    Command,
    Encounter,
    Health,
    Hello,
    Prompt,
    PromptOutcome,
    PromptWithdrawn,
    Segment,
    encode,
)
from bayscribe_relay.ingest.hub import Hub, Observer, ToDevice
from bayscribe_relay.ingest.session import Session
from faults.recorder import BOOT, MemoryBuffer, Record
from faults.rig import RelayThread, Site, drained, until, uplink, uplink_config
from faults.websocket import talk


def outcomes(site: Site) -> list[tuple[str, str, str]]:
    engine = sa.create_engine(f"sqlite:///{site.folder / 'relay.db'}")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT device, prompt, outcome FROM prompt_outcomes"))
        found = [(row.device, row.prompt, row.outcome) for row in rows]
    engine.dispose()
    return found


def say(relay: RelayThread, hub: Hub, device: str, message: ToDevice) -> bool:
    assert relay.loop is not None
    return asyncio.run_coroutine_threadsafe(hub.send(device, message), relay.loop).result(10)


def test_prompts_reach_the_bay_and_outcomes_and_health_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    heard: Queue[Prompt | PromptWithdrawn | Command] = Queue()
    relay = RelayThread(site.relay())
    callbacks = Callbacks(on_message=heard.put)
    with (
        relay as server,
        uplink(
            uplink_config(site, device, server.port), "bay-1", MemoryBuffer("bay-1"), callbacks
        ) as link,
    ):
        link.send_outcome(PromptOutcome(id="early", outcome="failed", wall_ns=1))
        until(lambda: link.status().state is State.STREAMING, "the link")
        prompt = Prompt(id="p1", text="Lactate is due at 14:10", expires_wall_ns=2)
        for message in (prompt, PromptWithdrawn(id="p1"), Command(id="c1", name="self-test")):
            assert say(relay, server.hub, "bay-1", message)
            assert heard.get(timeout=10) == message
        assert not say(relay, server.hub, "bay-2", prompt)
        link.send_outcome(PromptOutcome(id="p1", outcome="played", wall_ns=3))
        link.send_health(Health(values={"temperature_c": 51.5}))
        until(lambda: len(outcomes(site)) == 2, "outcomes")
        session = server.hub.connected["bay-1"]
        assert isinstance(session, Session)
        until(lambda: session.health is not None, "health")
    assert outcomes(site) == [("bay-1", "early", "failed"), ("bay-1", "p1", "played")]


def test_a_refused_record_is_an_alarm_in_the_bay_and_the_link_stays_up_for_prompts(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    recorder = site.recorder(device)
    buffer = MemoryBuffer("bay-1")
    buffer.append(recorder.open("e" * 32))
    good = recorder.segment()
    buffer.append(Record(good.header, bytes(64), good.sealed))
    alarms: Queue[Alarm | None] = Queue()
    heard: Queue[Prompt | PromptWithdrawn | Command] = Queue()
    relay = RelayThread(site.relay())
    callbacks = Callbacks(on_alarm=alarms.put, on_message=heard.put)
    with relay as server:
        config = uplink_config(site, device, server.port, retry_first_s=1, retry_most_s=1)
        with uplink(config, "bay-1", buffer, callbacks):
            alarm = alarms.get(timeout=10)
            assert alarm is not None
            assert alarm.code is AlarmCode.REFUSED
            assert say(relay, server.hub, "bay-1", Command(id="c1", name="mute"))
            assert heard.get(timeout=10) == Command(id="c1", name="mute")
            assert [record.seq for record in buffer.records] == [2]
            buffer.records[0] = good
            assert alarms.get(timeout=20) in (None, alarm)
            until(drained(buffer), "the true record")
        (refusal,) = server.store.refusals("bay-1")
        assert refusal.refusal.reason == "signature"


def test_who_ignores_its_credit_is_cut_off(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    recorder = site.recorder(device)
    records = recorder.recording("e" * 32, 300)
    with RelayThread(site.relay(credit_max=1)) as server:
        websocket = talk(uplink_config(site, device, server.port))
        with websocket:
            hello = Hello(device="bay-1", boot=BOOT, software="1", models={}, oldest=1, newest=302)
            websocket.send(encode(hello))
            websocket.recv(timeout=10)
            with pytest.raises(ConnectionClosed):
                flood(websocket.send, records)
            until(lambda: websocket.close_code is not None, "the relay closes")
            assert websocket.close_code == CLOSE_OVERLOADED


def flood(send: object, records: list[Record]) -> None:
    assert callable(send)
    for record in records * 20:
        message = (
            Segment(header=record.header, signature=record.signature, sealed=record.sealed)
            if record.sealed
            else Encounter(header=record.header, signature=record.signature)
        )
        send(encode(message))


def test_credit_is_shared_among_those_connected(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with RelayThread(site.relay(credit_max=32, records_in_memory=64)) as server:
        hub = server.hub
        assert hub.credit() == 32
        with contextlib.ExitStack() as stack:
            for n in range(8):
                device = site.enrol(f"bay-{n}")
                websocket = stack.enter_context(talk(uplink_config(site, device, server.port)))
                hello = Hello(
                    device=device.name, boot=BOOT, software="1", models={}, oldest=1, newest=0
                )
                websocket.send(encode(hello))
                websocket.recv(timeout=10)
            assert hub.credit() == 8
        until(lambda: hub.credit() == 32, "credit given back")


class Noting(Observer):
    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def joined(self, device: str) -> None:
        self.noted.append(("joined", device))

    def stored(self, device: str) -> None:
        self.noted.append(("stored", device))

    def outcome(self, device: str, outcome: PromptOutcome) -> None:
        self.noted.append((outcome.outcome, device))


def test_an_observer_is_told_what_the_devices_do(tmp_path: Path) -> None:
    site = Site(tmp_path)
    device = site.enrol("bay-1")
    noting = Noting()
    with RelayThread(site.relay()) as server:
        server.hub.observers.append(noting)
        buffer = MemoryBuffer("bay-1")
        buffer.extend(site.recorder(device).recording("e" * 32, 2))
        with uplink(uplink_config(site, device, server.port), "bay-1", buffer) as link:
            link.send_outcome(PromptOutcome(id="p", outcome="played", wall_ns=1))
            until(lambda: ("played", "bay-1") in noting.noted, "the outcome")
            until(lambda: ("stored", "bay-1") in noting.noted, "the records")
    assert noting.noted[0] == ("joined", "bay-1")
