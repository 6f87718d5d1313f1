"""A hospital's messages and the relay's tables that they end in."""

import itertools
import time
from pathlib import Path

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.config import FeedConfig, MappingConfig
from bayscribe_relay.emr_feed.envelope import envelope
from bayscribe_relay.emr_feed.feed import Feed
from bayscribe_relay.encounters.config import EncountersConfig

ED = EncountersConfig(bays={"ED^12^A": "bay-12", "ED^14^A": "bay-14"})


class Hospital:
    """Takes messages in as the listener does and interprets them at once."""

    def __init__(
        self, folder: Path, encounters: EncountersConfig = ED, mapping: str = "", zone: str = "UTC"
    ) -> None:
        files: tuple[str, ...] = ()
        if mapping:
            (folder / "local.toml").write_text(mapping)
            files = (str(folder / "local.toml"),)
        self.config = FeedConfig(site="demo", time_zone=zone, mapping=MappingConfig(files=files))
        self.store = ClinicalStore(f"sqlite:///{folder}/relay.db")
        self.feed = Feed(self.config, self.store, encounters)
        self._control = itertools.count(1)

    def close(self) -> None:
        self.feed.inbox.close()
        self.store.close()

    def receive(self, message: str | bytes) -> bool:
        """Durable, not yet interpreted; whether it was new."""
        data = message.encode() if isinstance(message, str) else message
        receipt = envelope(data, ("P",)).receipt(time.time_ns())
        return self.feed.inbox.submit([receipt]).result(60)[0]

    def send(
        self,
        kind: str,
        *segments: str,
        at: str = "20261123120000",
        mrn: str = "4711",
        visit: str = "V1",
        sender: str = "EMR|GH",
        version: str = "2.5.1",
    ) -> None:
        """A message of a patient, interpreted."""
        head = f"MSH|^~\\&|{sender}|||{at}||{kind}|C{next(self._control)}|P|{version}"
        pid = f"PID|1||{mrn}^^^GH^MR||Doe^Jane||19560401|F"
        lines = [head, pid]
        if not any(segment.startswith("PV1") for segment in segments):
            lines.append(pv1(visit=visit))
        self.receive("\r".join([*lines, *segments]) + "\r")
        self.interpret()

    def interpret(self) -> None:
        self.feed.worker.drain()

    def admit(self, at: str = "20261123115000", mrn: str = "4711", visit: str = "V1") -> None:
        """A patient registered in bay 12."""
        place = pv1("ED^12^A", visit=visit, arrived=at)
        self.send("ADT^A04", f"EVN||{at}", place, at=at, mrn=mrn, visit=visit)

    def stay(self, visit: str = "V1") -> Stay:
        found = self.store.stay_of_visit("demo", visit)
        assert found is not None, "there is no such stay"
        return found

    def events(self, visit: str = "V1") -> dict[str, ClinicalEvent]:
        """The latest version of each event of a stay, by concept (or code)."""
        latest: dict[str, ClinicalEvent] = {}
        for event in self.store.events(self.stay(visit).id):
            if event.id not in latest or latest[event.id].version < event.version:
                latest[event.id] = event
        return {e.concept or e.code: e for e in latest.values()}

    def parked(self) -> list[str]:
        return [message.reason.split(":")[0] for message in self.feed.inbox.parked()]

    def counts(self) -> dict[str, int]:
        return self.feed.inbox.counts()


def pv1(
    location: str = "",
    visit: str = "V1",
    arrived: str = "",
    left: str = "",
    disposition: str = "",
    patient_class: str = "E",
    attending: str = "",
) -> str:
    """A PV1 segment."""
    fields = [""] * 46
    fields[0], fields[1], fields[2], fields[3] = "PV1", "1", patient_class, location
    fields[7], fields[19], fields[36] = attending, visit, disposition
    fields[44], fields[45] = arrived, left
    return "|".join(fields).rstrip("|")
