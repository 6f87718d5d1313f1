"""The pages over a filled store, for tests: in this event loop, or in a thread for a browser."""

import asyncio
import contextlib
import gc
import hashlib
import json
import threading
from asyncio import selector_events
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.stays import Clinician
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from bayscribe_relay.web.config import OidcConfig, WebConfig
from bayscribe_relay.web.editing import undecided
from bayscribe_relay.web.parts import Identity, Parts
from bayscribe_relay.web.people import PasswordFile, Person
from bayscribe_relay.web.server import Web
from bayscribe_relay.writeback.bundle import make_bundle
from bayscribe_relay.writeback.note import read_note
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.states import Event
from transcribe.stored_speech import Bay
from web import demo_stay

PASSWORD = "correct horse battery staple"
OTHER_NPI = "1245319599"


_MADE: dict[str, bytes] = {}


@dataclass(frozen=True)
class Page:
    """A rendered note."""

    text: str
    html: str
    sha256: str
    revision: int


@dataclass(frozen=True)
class Added:
    """A signed addendum."""

    key: str
    n: int
    signed_ns: int
    note_sha256: str


@dataclass(frozen=True)
class Note:
    """A signed note."""

    key: str
    title: str
    author: str
    npi: str
    signed_ns: int
    mrn: str


class PlainSigning:
    """Signs a draft as plain text, through the real note format and the real outbox."""

    def __init__(self, clinical: ClinicalStore, outbox: Outbox) -> None:
        self._clinical = clinical
        self._outbox = outbox
        self._added: dict[str, list[Added]] = {}
        self._notes: dict[str, Note] = {}

    def preview(self, stay: str, clinician: Clinician) -> Page:
        draft = self._clinical.draft(stay)
        if draft is None:
            raise BadUse("there is no draft yet", "wait for it")
        lines = [draft.title, ""]
        for section in draft.sections:
            kept = [
                s.text
                for s in section.sentences
                if s.outcome != "rejected" and (s.origin != "suggestion" or s.outcome != "open")
            ]
            lines += [section.title.upper(), *kept, ""]
        lines.append(f"{clinician.given} {clinician.family}, NPI {clinician.npi}")
        text = "\n".join(lines)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Page(text, "", digest, draft.revision)

    async def sign(self, stay: str, clinician: Clinician, revision: int, sha256: str) -> Letter:
        page = self.preview(stay, clinician)
        if (page.revision, page.sha256) != (revision, sha256):
            raise BadUse("the draft has changed since", "read it again", code="revision")
        draft = self._clinical.draft(stay)
        assert draft is not None
        if undecided(draft):
            raise BadUse("a suggestion is not decided", "decide on each", code="undecided")
        data = json.dumps(self._note(stay, clinician, page)).encode()
        note = read_note(data)
        letter = await self._outbox.enqueue(note, data, make_bundle(note), hold=False)
        signed = msgspec.structs.replace(draft, revision=draft.revision + 1, signed_key=letter.key)
        self._clinical.put_draft(signed)
        self._notes[stay] = Note(
            letter.key, draft.title, f"{clinician.given} {clinician.family}", clinician.npi,
            letter.received_ns, note.patient.mrn,
        )  # fmt: skip
        return letter

    def addenda(self, stay: str) -> list[Added]:
        return self._added.get(stay, [])

    def signed_note(self, stay: str) -> Note:
        if stay not in self._notes:
            raise BadUse("this note is not signed", "edit the draft", code="unsigned")
        return self._notes[stay]

    def preview_addendum(self, stay: str, clinician: Clinician, text: str) -> Page:
        first, found = self.signed_note(stay), self._clinical.stay(stay)
        assert found is not None
        if not text.strip():
            raise BadUse("the addendum is empty", "write what is to be added", code="addendum")
        if found.patient.mrn != first.mrn:
            raise BadUse("the stay has come to another chart", "tell operations", code="identity")
        lines = [
            f"Addendum {len(self.addenda(stay)) + 1}: {first.title}",
            f"Patient: {found.patient.family}, {found.patient.given}; MRN {found.patient.mrn}",
            f"Author: {clinician.given} {clinician.family}, NPI {clinician.npi}", "",
            text.strip(), f"Relates to the note with the key {first.key}.",
        ]  # fmt: skip
        shown = "\n".join(lines)
        return Page(shown, "", hashlib.sha256(shown.encode()).hexdigest(), 1)

    async def addendum(
        self, stay: str, clinician: Clinician, text: str, number: int, sha256: str
    ) -> Letter:
        page = self.preview_addendum(stay, clinician, text)
        before = self._added.setdefault(stay, [])
        if number != len(before) + 1:
            raise BadUse("an addendum was signed meanwhile", "read it", code="revision")
        if page.sha256 != sha256:
            raise BadUse("the addendum has changed since", "look at it", code="revision")
        data = json.dumps(self._note(stay, clinician, page)).encode()
        note = read_note(data)
        letter = await self._outbox.enqueue(note, data, make_bundle(note), hold=False)
        before.append(Added(letter.key, number, letter.received_ns, page.sha256))
        return letter

    def _note(self, stay: str, clinician: Clinician, page: Page) -> dict[str, Any]:
        found = self._clinical.stay(stay)
        assert found is not None
        who = found.patient
        return {
            "site": found.site,
            "patient": {
                "id": who.id, "mrn": who.mrn, "family": who.family, "given": who.given,
                "birth_date": who.birth_date, "sex": who.sex,
            },
            "encounter": {
                "id": found.fhir_id, "visit_number": found.visit_number, "bay": found.bay,
            },
            "author": {"npi": clinician.npi, "family": clinician.family, "given": clinician.given},
            "note": {
                "type_loinc": "34878-9", "title": "Emergency department note",
                "media_type": "text/plain", "content": page.text,
            },
            "attestation": {
                "signed_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "clock_synchronised": True,
                "note_sha256": page.sha256,
            },
            "audio": {"sha256": "a" * 64, "chain_sha256": "b" * 64, "devices": ["bay-1"]},
            "models": [{"name": "campplus", "version": "1", "sha256": "c" * 64}],
            "prompts": [],
        }  # fmt: skip


class Rig:
    """Everything that stands behind a browser. Use :meth:`running` or :meth:`in_thread`.

    Attributes:
        url: of the pages.
        ca: file of the authority of their certificate.
    """

    password = PASSWORD
    identity: Identity | None = None

    def __init__(self, folder: Path, now_ns: int, turns: int | None, *, audio: bool) -> None:
        self.folder = folder
        self.now_ns = now_ns
        self.bay: Bay = demo_stay.fill(folder, now_ns, turns, audio=audio)
        self.clinical = self.bay.clinical
        self.outbox = Outbox(self.bay.url, "rig", 5.0)
        self.users = PasswordFile(folder / "users.json")
        self.url = ""
        self.ca = folder / "ca.pem"
        self.web: Web | None = None
        self._add_users()
        self._certify()

    def _add_users(self) -> None:
        """The accounts; hashed once for all tests."""
        path = self.folder / "users.json"
        if "users" in _MADE:
            files.write_new(path, _MADE["users"], 0o600)
            return
        okafor = demo_stay.OKAFOR
        people = (
            Person(
                name="okafor", role="clinician", npi=okafor.npi, family=okafor.family,
                given=okafor.given, label=okafor.label,
            ),
            Person(name="bauer", role="clinician", npi=OTHER_NPI, family="Bauer", given="Jonas"),
            Person(name="op", role="operator"),
            Person(name="privacy", role="reviewer"),
        )  # fmt: skip
        for person in people:
            self.users.add(person, PASSWORD)
        _MADE["users"] = path.read_bytes()

    def _certify(self) -> None:
        authority = Authority.create("Test CA")
        files.write_new(self.ca, Issued(authority.certificate, None).pem(), 0o644)
        leaf = authority.server("localhost", ["127.0.0.1"])
        assert leaf.key is not None
        files.write_new(self.folder / "web.pem", Issued(leaf.certificate, None).pem(), 0o644)
        files.write_new(self.folder / "web.key", files.key_pem(leaf.key), 0o600)

    @property
    def parts(self) -> Parts:
        return Parts(
            clinical=self.clinical,
            store=self.bay.store,
            keys=[self.bay.opening],
            desk=Desk(self.clinical, "demo"),
            outbox=self.outbox,
            signing=PlainSigning(self.clinical, self.outbox),
            identity=self.identity,
            custody=_Custody(),
            fleet=_fleet(),
        )

    def config(self, oidc: OidcConfig | None = None, **changes: Any) -> WebConfig:  # noqa: ANN401 - fields of the configuration
        base = WebConfig(
            url="https://localhost",
            host="127.0.0.1",
            port=0,
            certificate=str(self.folder / "web.pem"),
            key=str(self.folder / "web.key"),
            users=str(self.folder / "users.json"),
            site="demo",
            oidc=oidc,
        )
        return msgspec.structs.replace(base, **changes)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        folder: Path,
        now_ns: int,
        turns: int | None = None,
        *,
        audio: bool = True,
        **changes: Any,  # noqa: ANN401 - fields of the configuration
    ) -> AsyncIterator["Rig"]:
        """In this event loop."""
        rig = cls(folder, now_ns, turns, audio=audio)
        try:
            async with Web.running(rig.config(**changes), rig.parts) as served:
                rig.web = served
                rig.url = f"https://localhost:{served.port}"
                yield rig
        finally:
            rig.outbox.close()
            rig.bay.close()

    @classmethod
    @contextlib.contextmanager
    def in_thread(cls, folder: Path, now_ns: int, turns: int | None = None) -> Iterator["Rig"]:
        """In a thread of its own, for a browser that blocks this one."""
        ready, found = threading.Event(), list["Rig"]()
        failure = list[BaseException]()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with cls.running(folder, now_ns, turns) as rig:
                found.append(rig)
                ready.set()
                await stop.wait()

        def run() -> None:
            try:
                loop.run_until_complete(serve())
            except BaseException as error:  # noqa: BLE001 - raised again where the test is
                failure.append(error)
            finally:
                ready.set()
                loop.run_until_complete(_sockets_closed(loop))
                loop.close()

        thread = threading.Thread(target=run, name="web-rig")
        thread.start()
        ready.wait()
        try:
            if failure:
                raise failure[0]
            found[0].loop = loop
            yield found[0]
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)
            thread.join()

    loop: asyncio.AbstractEventLoop | None = None

    def happen(self, key: str, event: Event, **more: Any) -> None:  # noqa: ANN401 - arguments of the outbox
        """Something happens to a letter."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(
            self.outbox.happened(key, event, **more), self.loop
        ).result(60)


async def _sockets_closed(loop: asyncio.AbstractEventLoop) -> None:
    """Let go of connections that a browser keeps for later and that nobody reads any more."""
    kind: Any = vars(selector_events)["_SelectorTransport"]
    left = [x for x in gc.get_objects() if type(x).__mro__.count(kind) and x._loop is loop]
    for transport in left:
        transport.abort()
    for _ in range(500):
        if all(transport._sock is None for transport in left):
            return
        await asyncio.sleep(0.01)


def committed(key: str) -> bytes:
    """The gateway's word that a note was read back."""
    return json.dumps(
        {
            "type": "committed", "key": key, "etag": 'W/"1"', "path": "fhir",
            "verified_at": "2026-11-23T12:00:00Z",
            "resources": {"DocumentReference": "DocumentReference/d1", "Binary": "Binary/b1"},
        }
    ).encode()  # fmt: skip


class _Custody:
    """Packages that name their stay."""

    def package(self, encounter: str) -> tuple[str, bytes]:
        return encounter, b"package of " + encounter.encode()


def _fleet() -> web.Application:
    async def page(request: web.Request) -> web.Response:
        del request
        return web.Response(text="<!doctype html><title>Bays</title>", content_type="text/html")

    application = web.Application()
    application.add_routes([web.get("/", page)])
    return application
