"""What the pages need of the rest of the relay, handed in by ``serve``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.clinical.stays import Clinician
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.store.store import Store
from bayscribe_relay.writeback.outbox import Letter, Outbox


class Rendered(Protocol):
    """A note as it would be signed."""

    @property
    def text(self) -> str:
        """The note as plain text."""
        ...

    @property
    def html(self) -> str:
        """The same as XHTML, for the eye."""
        ...

    @property
    def sha256(self) -> str:
        """Of the bytes that are signed."""
        ...

    @property
    def revision(self) -> int:
        """Of the draft that it was made of."""
        ...


class Addendum(Protocol):
    """A signed addendum."""

    @property
    def key(self) -> str:
        """Of its letter."""
        ...

    @property
    def n(self) -> int:
        """1 for the first."""
        ...

    @property
    def signed_ns(self) -> int:
        """When it was signed."""
        ...

    @property
    def note_sha256(self) -> str:
        """Of the bytes that were signed."""
        ...


class SignedNote(Protocol):
    """The signed note that addenda belong to."""

    @property
    def key(self) -> str:
        """Of its letter."""
        ...

    @property
    def title(self) -> str:
        """In the chart."""
        ...

    @property
    def author(self) -> str:
        """Who signed it."""
        ...

    @property
    def npi(self) -> str:
        """Of the author."""
        ...

    @property
    def signed_ns(self) -> int:
        """When it was signed."""
        ...


class Signing(Protocol):
    """Rendering and attestation."""

    def preview(self, stay: str, clinician: Clinician) -> Rendered:
        """The note as it would be signed now.

        Raises:
            BadUse: it cannot be signed yet, and why.
        """
        ...

    async def sign(self, stay: str, clinician: Clinician, revision: int, sha256: str) -> Letter:
        """Sign exactly what was previewed, and hand it to the outbox.

        Raises:
            BadUse: the draft has changed since, or cannot be signed.
        """
        ...

    def addenda(self, stay: str) -> Sequence[Addendum]:
        """A stay's signed addenda, the first one first."""
        ...

    def signed_note(self, stay: str) -> SignedNote:
        """The note of a stay that can be added to.

        Raises:
            BadUse: there is none.
        """
        ...

    def preview_addendum(self, stay: str, clinician: Clinician, text: str) -> Rendered:
        """The next addendum as it would be signed now.

        Raises:
            BadUse: it cannot be signed, and why.
        """
        ...

    async def addendum(
        self, stay: str, clinician: Clinician, text: str, number: int, sha256: str
    ) -> Letter:
        """Sign the addendum of a number exactly as previewed, and hand it to the outbox.

        Raises:
            BadUse: there is no signed note, no text, another addendum of that number, or it
                is not what was previewed.
        """
        ...


class Identity(Protocol):
    """Whose chart a stay's note goes into."""

    async def settle(self, stay: str) -> None:
        """Find the EMR's ids of a stay that has none yet.

        Raises:
            BadUse: they cannot be had, and why.
        """
        ...


class Packaging(Protocol):
    """Chain of custody."""

    def package(self, encounter: str) -> tuple[str, bytes]:
        """The package of one stay, and the stay's id.

        Raises:
            BadUse: there is no such encounter.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rest of the relay.

    Attributes:
        clinical: stays, transcript, prompts, drafts.
        store: sealed audio.
        keys: that open it.
        desk: taps, hand-overs and corrections.
        outbox: signed notes on their way; None on a relay that writes nothing back.
        signing: None likewise.
        identity: finds charts; None where none have to be, or the EMR cannot be read.
        custody: makes chain-of-custody packages.
        fleet: the fleet's page, to be mounted.
    """

    clinical: ClinicalStore
    store: Store
    keys: Sequence[OpeningKey]
    desk: Desk
    outbox: Outbox | None = None
    signing: Signing | None = None
    identity: Identity | None = None
    custody: Packaging | None = None
    fleet: web.Application | None = None
