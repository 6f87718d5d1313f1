"""The encounters of a running relay: recordings bound as they come, units told what to do."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Final
from uuid import uuid4

from bayscribe.errors import BayscribeError, StorageError
from bayscribe.wire.messages import Command
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.encounters import ledger
from bayscribe_relay.encounters.config import EncountersConfig
from bayscribe_relay.encounters.desk import Desk
from bayscribe_relay.ingest.hub import Observer

log = logging.getLogger("bayscribe.encounters")

SendCommand = Callable[[str, Command], bool]
"""Send a command to a unit, from any thread; False if it is not connected to this relay."""

_LOOK_S: Final = 1.0
"""Between looks at what other relays on the database changed."""
_RETRY_S: Final = 5.0


class Encounters(Observer):
    """Follows stays and units in a thread of its own.

    Every relay on a database does; each sends commands to the units that it has. A unit is
    told when it joins and whenever what is wanted of it changes, so what was lost on the way
    is said again.

    Attributes:
        desk: changes of stays; may be used from any thread.
        counters: commands sent, recordings bound.
    """

    def __init__(self, store: ClinicalStore, config: EncountersConfig, site: str = "") -> None:
        self.desk = Desk(store, site)
        self.counters = {"commands": 0, "recordings": 0}
        self._config = config
        self._commands: SendCommand = lambda _device, _command: False
        self._told: dict[str, bool] = {}
        self._joined: list[str] = []
        self._bell = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="encounters", daemon=True)

    @contextlib.asynccontextmanager
    async def running(self, commands: SendCommand) -> AsyncIterator["Encounters"]:
        """Follow until the end of the block; may be entered once.

        Args:
            commands: brings a command to a unit.
        """
        self._commands = commands
        unlisten = self.desk.store.listen(self._bell.set)
        self._thread.start()
        try:
            yield self
        finally:
            unlisten()
            self._ending = True
            self._bell.set()
            await asyncio.to_thread(self._thread.join)

    # -- what the hub tells

    def joined(self, device: str) -> None:
        """A unit is connected: it is told the present state."""
        self._joined.append(device)
        self._bell.set()

    def stored(self, device: str) -> None:  # noqa: ARG002 - an observer's
        """More of a unit's records are durable: a recording may have begun or ended."""
        self._bell.set()

    # -- the thread

    def _run(self) -> None:
        while not self._ending:
            try:
                self._bind()
                self._tell()
            except StorageError as error:
                log.error("encounters wait for the store: %s", error.line())  # noqa: TRY400 - one line
                self._bell.clear()
                self._bell.wait(_RETRY_S)
            except BayscribeError as error:
                log.error("a recording is not bound: %s", error.line())  # noqa: TRY400 - one line
            self._bell.wait(_LOOK_S)
            self._bell.clear()

    def _bind(self) -> None:
        """New recordings and ended ones."""
        with self.desk.store.engine.connect() as link:
            if not ledger.has_news(link):
                return
        with self.desk.transaction() as link:
            self.counters["recordings"] += self.desk.take_recordings(link)

    def _tell(self) -> None:
        while self._joined:
            self._told.pop(self._joined.pop(0), None)
        now = time.time_ns()
        tapped = self._config.open_on == "tap"
        with self.desk.store.engine.connect() as link:
            units = {**ledger.units(link), **self._config.units}
            wishes = {
                device: self.desk.wanted(link, bay, now, tapped=tapped)
                for device, bay in units.items()
            }
            opened_by = {device: ledger.open_reason(link, device) for device in units}
        for device, wish in wishes.items():
            if self._told.get(device) is wish:
                continue
            # What a button on the unit began is not for the record of bays to end.
            ours = self._told.get(device) is True or opened_by[device] == "adt"
            if not wish and not ours:
                continue
            name = "open_encounter" if wish else "close_encounter"
            if self._commands(device, Command(id=uuid4().hex, name=name)):
                self._told[device] = wish
                self.counters["commands"] += 1
