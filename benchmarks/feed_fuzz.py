"""Broken and hostile input for the EMR feed: no crash, no wrong patient, flat memory.

``python -m benchmarks.feed_fuzz [--messages N] [--notifications N] [--seed N]``

Valid HL7 messages and notifications of twenty patients are mutated (bytes, fields,
delimiters, segments, identities of two patients mixed) or replaced by noise, and go through
the very functions that a running relay uses: framing, header, acknowledgement, reading,
application to the tables (in memory). After every run of them each event that stands in a
stay is held against that stay: its record number and its visit number must both be the
stay's, and both must stand in the bytes that it came from.
"""

import argparse
import contextlib
import logging
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from bayscribe_relay.clinical import tables as clinical_tables
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed import acknowledge, tables
from bayscribe_relay.emr_feed.application import Application
from bayscribe_relay.emr_feed.config import FeedConfig
from bayscribe_relay.emr_feed.envelope import envelope, messages_of
from bayscribe_relay.emr_feed.feed import site_of
from bayscribe_relay.emr_feed.fhir_fetcher import beside, fhir_reader, resource_receipt
from bayscribe_relay.emr_feed.fhir_notice import TYPES, BadNotice, notice
from bayscribe_relay.emr_feed.hl7_messages import interpret
from bayscribe_relay.emr_feed.inbox import Inbox
from bayscribe_relay.emr_feed.worker import Worker, hl7_reader
from bayscribe_relay.encounters import tables as stay_tables
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.hl7.er7 import Malformed
from bayscribe_relay.hl7.framing import END, START, Framer

PATIENTS: Final = 20
RUN: Final = 250
RESET_EVERY: Final = 5_000

_BODIES: Final = (
    ("ADT^A04", "EVN||{t}", "PV2|||^Chest pain", "OBX|1|NM|29463-7^W^LN||68|kg|||||F"),
    ("ADT^A08", "EVN||{t}", "DG1|1||N18.6^ESRD^I10", "OBX|1|NM|29463-7^W^LN||150|[lb_av]"),
    ("ADT^A02", "EVN||{t}"),
    ("ADT^A03", "EVN||{t}"),
    ("ADT^A13", "EVN||{t}"),
    ("ADT^A40", "MRG|OLD{p}^^^GH^MR"),
    (
        "ORU^R01",
        "OBR|1|P{o}|F{o}|VS^Vitals^L|||{t}",
        "OBX|1|NM|8867-4^HR^LN||{v}|/min|||||F|||{t}",
        "OBX|2|NM|8310-5^T^LN||101.1|[degF]|||||F|||{t}",
    ),
    (
        "ORU^R01",
        "OBR|1|P{o}|F{o}|2524-7^Lactate^LN|||{t}|||||||||||||||{t}|||F",
        "OBX|1|NM|2524-7^Lactate^LN||{v}|mmol/L|0.5-2.0|HH|||C|||{t}",
    ),
    ("ORM^O01", "ORC|NW|P{o}|||||||{t}", "OBR|1|P{o}||87040^Blood culture^C4"),
    ("OMG^O19", "ORC|CA|P{o}"),
    ("RDE^O11", "ORC|NW|M{o}", "RXE||5224^heparin^RXNORM|5000||[iU]", "RXR|IV"),
    ("RAS^O17", "ORC|RE|M{o}", "RXA|0|1|{t}||2193^ceftriaxone^RXNORM|1|g", "RXR|IV"),
    ("MDM^T02", "TXA|1|RAD^Report^L||{t}||||||||D{o}", "OBX|1|TX|X||Line one\\.br\\two"),
)
_SPICE: Final = (
    *(b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\x00", b"\xff", b"\x0b", b"\x1c\r"),
    *(b'""', b"\\X41\\", b"\\E", b"MSH|", b"PID|1||M3^^^GH^MR", b"9" * 400, b"-", b"1e99", b"NaN"),
)


def identity(patient: int) -> tuple[str, str]:
    """Record number and visit number."""
    return f"M{patient}", f"V{patient}"


def message(rng: random.Random, n: int) -> bytes:
    """A valid message of one of the patients."""
    patient = rng.randrange(PATIENTS)
    mrn, visit = identity(patient)
    kind, *segments = rng.choice(_BODIES)
    values = {
        "t": f"20261123{rng.randrange(24):02d}{rng.randrange(60):02d}00",
        "p": patient,
        "o": rng.randrange(200),
        "v": rng.randrange(300),
    }
    place = rng.choice(("ED^12^A", "ED^14^A", "ICU^1^A", ""))
    lines = [
        f"MSH|^~\\&|EMR|GH|||{values['t']}||{kind}|C{n}|P|2.5.1",
        f"PID|1||{mrn}^^^GH^MR||Doe^Jane||19560401|F",
        f"PV1|1|E|{place}||||||||||||||||{visit}",
        *(segment.format(**values) for segment in segments),
    ]
    return "\r".join(lines).encode() + b"\r"


def mutate(rng: random.Random, data: bytes) -> bytes:
    """The same message, broken in one to four ways."""
    for _ in range(rng.randrange(1, 5)):
        way = rng.randrange(9)
        at = rng.randrange(len(data) + 1)
        if way == 0:
            data = data[:at] + rng.choice(_SPICE) + data[at:]
        elif way == 1:
            data = data[:at] + data[at + rng.randrange(1, 20) :]
        elif way == 2:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif way == 3:
            lines = data.split(b"\r")
            rng.shuffle(lines)
            data = b"\r".join(lines)
        elif way == 4:
            lines = data.split(b"\r")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            data = b"\r".join(lines)
        elif way == 5:
            data = data[:at]
        elif way == 6:
            other = rng.randrange(PATIENTS)
            mine = rng.randrange(PATIENTS)
            data = data.replace(b"V%d" % mine, b"V%d" % other)
        elif way == 7:
            data = data.replace(rng.choice((b"|", b"^", b"~")), rng.choice((b"#", b"$", b"|")))
        else:
            fields = data.split(b"|")
            i, j = rng.randrange(len(fields)), rng.randrange(len(fields))
            fields[i], fields[j] = fields[j], fields[i]
            data = b"|".join(fields)
    return data


def any_message(rng: random.Random, n: int) -> bytes:
    """One message as a fuzzer sends it."""
    kind = rng.random()
    if kind < 0.2:
        return message(rng, n)
    if kind < 0.9:
        return mutate(rng, message(rng, n))
    if kind < 0.95:
        return rng.randbytes(rng.randrange(400))
    return b"MSH|^~\\&|" + rng.randbytes(rng.randrange(200)).replace(b"\r", b"|")


class Target:
    """A relay's feed, on tables in memory unless a database is named."""

    def __init__(self, url: str | None = None) -> None:
        self.config = FeedConfig(site="demo")
        memory = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.store = ClinicalStore(url or f"sqlite:///{self._folder.name}/fuzz.db")
        self.desk = Desk(self.store, "demo")
        self.inbox = Inbox(self.store)
        names = ("ED^12^A", "ED^14^A", "Location/0", "Location/1")
        encounters = EncountersConfig(bays={name: f"bay-{name[-4:]}" for name in names})
        site = site_of(self.config)
        self.worker = Worker(
            self.inbox,
            self.desk,
            Application(self.desk, encounters, "demo"),
            {
                "hl7": hl7_reader(lambda data, n, at: interpret(data, n, at, site)),
                "fhir": fhir_reader(site),
            },
        )
        self.rejected = 0
        self.accepted = 0
        self._checked = 0

    def close(self) -> None:
        """Let go."""
        self.inbox.close()
        self.store.close()
        self._folder.cleanup()

    def take(self, frames: list[bytes]) -> None:
        """What the listener does with frames, then what the worker does."""
        framer = Framer()
        receipts = []
        for frame in framer.push(b"".join(START + f + END for f in frames)):
            for data in messages_of(frame)[0]:
                try:
                    head = envelope(data, ("P", ""))
                except Malformed as reason:
                    acknowledge.unreadable(str(reason))
                    self.rejected += 1
                    continue
                acknowledge.answers(head)
                if head.problem is None:
                    receipts.append(head.receipt(time.time_ns()))
                else:
                    self.rejected += 1
        self.accepted += sum(self.inbox.submit(receipts).result(600)) if receipts else 0
        self.worker.drain()

    def notify(self, bodies: list[bytes]) -> None:
        """What endpoint and fetcher do with notifications, then what the worker does."""
        receipts = []
        for body in bodies:
            try:
                told = notice(body)
            except BadNotice:
                self.rejected += 1
                continue
            receipts += [
                resource_receipt(told.resources[reference], patient, encounter)
                for reference in told.focus
                if reference in told.resources
                for patient, encounter in (beside(told, told.resources[reference]),)
            ]
        self.accepted += sum(self.inbox.submit(receipts).result(600)) if receipts else 0
        self.worker.drain()

    def wrong_patients(self) -> int:
        """Events since the last look that stand in a stay that is not theirs."""
        wrong = 0
        t = clinical_tables.events
        with self.store.engine.connect() as link:
            new = link.execute(sa.select(t).where(t.c.n > self._checked).order_by(t.c.n)).all()
            merged = tables.merged
            now = {str(r.old): str(r.new) for r in link.execute(sa.select(merged))}
            received = link.execute(sa.select(tables.messages.c.n, tables.messages.c.body))
            bodies = {row.n % 100_000: bytes(row.body) for row in received}
        for row in new:
            self._checked = row.n
            if not row.stay:
                continue
            event = msgspec.json.decode(row.body, type=ClinicalEvent)
            stay = self.store.stay(row.stay)
            same = stay is not None and now.get(event.mrn, event.mrn) == now.get(
                stay.patient.mrn, stay.patient.mrn
            )
            n = event.version % 100_000  # see Reading.version; a re-timed one counts further
            body = next((bodies[i] for i in range(n, n - 4, -1) if i in bodies), b"")
            there = b"\\" in body or all(
                number.encode("utf-8") in body or number.encode("latin-1", "replace") in body
                for number in (event.mrn, event.visit_number)
            )
            if stay is None or not same or event.visit_number != stay.visit_number or not there:
                wrong += 1
        return wrong

    def internal_faults(self) -> list[str]:
        """Messages that were parked because our code failed on them."""
        found = self.inbox.parked(100_000)
        return [m.reason for m in found if m.reason.startswith(("internal", "refused"))]

    def empty(self) -> None:
        """Forget everything, as retention would."""
        with self.store.engine.begin() as link:
            for metadata in (tables.metadata, clinical_tables.metadata, stay_tables.metadata):
                for table in metadata.sorted_tables:
                    link.execute(sa.delete(table))
        self._checked = 0


@contextlib.contextmanager
def target(url: str | None = None) -> Iterator[Target]:
    """A relay's feed for the length of the block."""
    found = Target(url)
    try:
        yield found
    finally:
        found.close()


def fuzz_messages(
    count: int, seed: int, *, progress: bool = False, url: str | None = None
) -> tuple[int, list[str], Target]:
    """Send ``count`` messages.

    Returns:
        wrong-patient events, faults of our code, and the target for its counters.
    """
    return _fuzz("messages", Target.take, any_message, count, seed, progress=progress, url=url)


def _fuzz(
    what: str,
    send: Callable[[Target, list[bytes]], None],
    make: Callable[[random.Random, int], bytes],
    count: int,
    seed: int,
    *,
    progress: bool,
    url: str | None,
) -> tuple[int, list[str], Target]:
    rng = random.Random(seed)
    wrong, faults, done = 0, [], 0
    begun = time.monotonic()
    with target(url) as feed:
        while done < count:
            number = min(RUN, count - done)
            send(feed, [make(rng, done + i) for i in range(number)])
            done += number
            wrong += feed.wrong_patients()
            if done % RESET_EVERY < RUN:
                faults += feed.internal_faults()
                feed.empty()
                if progress:
                    rate = done / (time.monotonic() - begun)
                    print(
                        f"{done:>9} {what}  {rate:6.0f}/s  {resident_mib():6.1f} MiB  "
                        f"wrong patient {wrong}  faults {len(faults)}",
                        flush=True,
                    )
        faults += feed.internal_faults()
        return wrong, faults, feed


def any_notification(rng: random.Random, n: int) -> bytes:
    """One notification as a fuzzer sends it: a Bundle of a patient, broken."""
    patient = rng.randrange(PATIENTS)
    other = patient if rng.random() < 0.8 else rng.randrange(PATIENTS)
    mrn, visit = identity(patient)
    subject = {"reference": f"Patient/{mrn}"}
    patient_resource = {
        "resourceType": "Patient",
        "id": mrn,
        "identifier": [{"value": mrn}],
        "birthDate": "1956-04-01",
    }
    encounter = {
        "resourceType": "Encounter",
        "id": visit,
        "status": rng.choice(("in-progress", "finished", "cancelled", "planned")),
        "class": {"code": "EMER"},
        "identifier": [{"value": visit}],
        "subject": {"reference": f"Patient/{identity(other)[0]}"},
        "period": {"start": "2026-11-23T11:50:00Z", "end": "2026-11-23T15:50:00Z"},
        "location": [{"location": {"reference": f"Location/{rng.randrange(3)}"}}],
    }
    focus = {
        "resourceType": rng.choice(TYPES),
        "id": f"r{n}",
        "meta": {"lastUpdated": f"2026-11-23T12:{rng.randrange(60):02d}:00Z"},
        "status": rng.choice(("final", "active", "completed", "entered-in-error")),
        "intent": "order",
        "subject": {"reference": f"Patient/{identity(other)[0]}"},
        "encounter": {"reference": f"Encounter/{visit}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2524-7"}]},
        "medicationCodeableConcept": {"text": "ceftriaxone"},
        "effectiveDateTime": "2026-11-23T12:05:00Z",
        "authoredOn": "2026-11-23T12:05:00Z",
        "valueQuantity": {"value": rng.randrange(300), "code": "mmol/L"},
        "component": [{"code": {"text": "x"}, "valueInteger": 4}],
    }
    if rng.random() < 0.5:
        focus["subject"] = subject
        encounter["subject"] = subject
    kind = rng.choice(("handshake", "heartbeat", "event-notification"))
    status = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(n)},
        ],
    }
    resources: list[dict[str, Any]] = [status, focus, patient_resource, encounter]
    for _ in range(rng.randrange(3)):
        _spoil(rng, rng.choice(resources))
    told = {
        "resourceType": "Bundle",
        "type": "history",
        "entry": [{"resource": resource} for resource in resources],
    }
    body = msgspec.json.encode(told)
    return mutate(rng, body) if rng.random() < 0.2 else body


def _spoil(rng: random.Random, resource: dict[str, Any]) -> None:
    """Put something of a wrong kind in the place of one member, at any depth."""
    node: Any = resource
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and rng.random() < 0.6:
            node = node[key]
            continue
        node[key] = rng.choice(
            (None, 7, -1, 1e300, True, "", "x" * 500, [], {}, [None], {"a": 1}, "\u0000", "2026")
        )
        return


def fuzz_notifications(
    count: int, seed: int, *, progress: bool = False, url: str | None = None
) -> tuple[int, list[str], Target]:
    """Send ``count`` notifications; as :func:`fuzz_messages`.

    The resources that a notification brings are put into the inbox as the fetcher does, with
    the Patient and Encounter that they point to in the same Bundle.
    """
    return _fuzz(
        "notifications", Target.notify, any_notification, count, seed, progress=progress, url=url
    )


def resident_mib() -> float:
    """Resident memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    """Fuzz, print what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed_fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--notifications", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options, _ = parser.parse_known_args()
    logging.disable(logging.CRITICAL)
    begun = time.monotonic()
    wrong, faults, feed = fuzz_messages(options.messages, options.seed, progress=True)
    print(
        f"{options.messages} HL7 messages in {time.monotonic() - begun:.0f} s: "
        f"{feed.accepted} taken, {feed.rejected} refused, {feed.worker.counters}; "
        f"{wrong} wrong-patient events, {len(faults)} faults {sorted(set(faults))[:5]}"
    )
    begun = time.monotonic()
    also_wrong, also_faults, feed = fuzz_notifications(
        options.notifications, options.seed, progress=True
    )
    print(
        f"{options.notifications} notifications in {time.monotonic() - begun:.0f} s: "
        f"{feed.accepted} resources taken, {feed.rejected} refused, {feed.worker.counters}; "
        f"{also_wrong} wrong-patient events, {len(also_faults)} faults "
        f"{sorted(set(also_faults))[:5]}"
    )
    return int(bool(wrong or faults or also_wrong or also_faults))


if __name__ == "__main__":
    sys.exit(main())
