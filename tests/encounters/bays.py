"""Bays whose units record, as the relay's store has them."""

import itertools

from bayscribe.wire.header import EncounterClosed, EncounterOpened, Header, encode_header
from bayscribe_relay.store.records import Batch, EncounterState, StoredRecord
from bayscribe_relay.store.store import Store

S = 10**9
MINUTE = 60 * S
NOON = 1_795_435_200 * S
"""23 November 2026, 12:00 UTC."""

_ids = itertools.count(1)


class Unit:
    """An appliance in a bay; what it records is durable at the relay at once."""

    def __init__(self, store: Store, device: str, bay: str) -> None:
        self.device, self._bay, self._store = device, bay, store
        self._seq = 0
        self._state: EncounterState | None = None
        store.admit(device, device.encode().ljust(32, b"."), b"der")

    def open(self, at_ns: int, reason: str = "adt") -> str:
        """Begin a recording; its id."""
        ident = f"{next(_ids):032x}"
        self._state = EncounterState(ident, self._bay, self._seq + 1, reason)
        header = EncounterOpened(
            device=self.device,
            boot="0" * 32,
            seq=self._seq + 1,
            encounter=ident,
            previous=bytes(32),
            monotonic_ns=0,
            wall_ns=at_ns,
            clock="synchronised",
            bay=self._bay,
            reason=reason,
        )
        self._keep(header, "opened", self._state)
        return ident

    def close(self, at_ns: int) -> None:
        """End it."""
        state = self._state
        assert state is not None
        header = EncounterClosed(
            device=self.device,
            boot="0" * 32,
            seq=self._seq + 1,
            encounter=state.encounter,
            previous=bytes(32),
            monotonic_ns=0,
            wall_ns=at_ns,
            clock="synchronised",
            reason="adt",
            opened_seq=state.opened_seq,
            segments=0,
            samples=0,
            gap_samples=0,
        )
        closed = EncounterState(
            state.encounter,
            self._bay,
            state.opened_seq,
            state.opened_reason,
            closed_seq=self._seq + 1,
            closed_reason="adt",
        )
        self._keep(header, "closed", closed)

    def _keep(self, header: Header, kind: str, state: EncounterState) -> None:
        record = StoredRecord(
            seq=self._seq + 1,
            chain=self._seq.to_bytes(32, "big"),
            kind=kind,
            encounter=state.encounter,
            header=encode_header(header),
            signature=bytes(64),
            sealed_sha256=bytes(32),
            certificate=bytes(32),
            received_ns=header.wall_ns,
            sealed=None,
        )
        assert self._store.commit([Batch(self.device, self._seq, (record,), (state,))]) == [True]
        self._seq += 1
