"""The device's side of ``bayscribe.device.v1``, without sockets, threads or clocks.

::

              connected: hello
    OFFLINE ------------------> GREETING
       ^                           | welcome, same chain at the relay's mark
       | lost                      v
       +---------------------- STREAMING <--- ack (window moves), credit
       | lost                      | refuse
       |                           v
       +------------------------ HELD: nothing is sent, everything is kept, alarm
         lost                      ^
                                   | welcome, but the marks cannot be joined:
                                   | relay ahead, relay behind, or another chain
                                   +--------------------------------- GREETING

From every state but OFFLINE, a message that breaks the protocol (a second welcome,
anything but welcome first, an acknowledgement of what was not sent) leads to a close
and, through ``lost``, to OFFLINE. The device never erases or overwrites anything on
the relay's word but what it has sent on this connection or what the relay's chain
value proves that it holds.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bayscribe.errors import IntegrityError
from bayscribe.uplink.outgoing import Outgoing, OutgoingRecord
from bayscribe.wire import chain
from bayscribe.wire.header import Header, SegmentHeader, decode_header
from bayscribe.wire.messages import (
    CLOSE_MALFORMED,
    Ack,
    Command,
    Credit,
    Encounter,
    FromDevice,
    FromRelay,
    Hello,
    Prompt,
    PromptWithdrawn,
    Refuse,
    Segment,
    Welcome,
)


class State(StrEnum):
    """Where the connection stands."""

    OFFLINE = "offline"
    GREETING = "greeting"
    STREAMING = "streaming"
    HELD = "held"


class AlarmCode(StrEnum):
    """Why the stream does not go on although the link is up."""

    REFUSED = "relay-refused"
    RELAY_AHEAD = "relay-ahead"
    RELAY_BEHIND = "relay-behind"
    FORK = "chain-differs"
    PROTOCOL = "relay-protocol"
    BUFFER = "buffer-unreadable"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message."""

    message: FromDevice


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection; ``lost`` follows."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that an operator must see, until it is cleared."""

    code: AlarmCode
    text: str


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """Every alarm of the stream is over: a record was acknowledged again."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Something for the bay."""

    message: Prompt | PromptWithdrawn | Command


Action = Send | Close | Alarm | AlarmCleared | Deliver


@dataclass(frozen=True, slots=True)
class Identity:
    """What hello says of the unit.

    Attributes:
        device: name in the certificate.
        boot: id of this boot, 32 hex digits.
        software: version.
        models: SHA-256 of each network in use, by name.
    """

    device: str
    boot: str
    software: str
    models: dict[str, bytes]


class UplinkCore:
    """The protocol. Feed it what happens; do what it answers, in order.

    Reading records and acknowledging them is done through ``outgoing``, which is the
    only thing that it touches.

    Raises:
        StorageError: from any method, when the buffer fails.
        IntegrityError: when a record that the buffer gives back is not the one it took.
    """

    def __init__(self, identity: Identity, outgoing: Outgoing) -> None:
        self._identity = identity
        self._outgoing = outgoing
        self.state = State.OFFLINE
        self.ignored = 0
        self.acknowledged = 0
        self._credit = 0
        self._sent = 0
        self._in_flight: deque[tuple[int, bytes]] = deque()
        self._acks_carry_chain = False
        self._alarmed = False

    @property
    def expecting(self) -> bool:
        """Whether the relay owes an answer: a welcome or an acknowledgement."""
        return self.state is State.GREETING or (
            self.state is State.STREAMING and bool(self._in_flight)
        )

    def connected(self) -> list[Action]:
        """The link is up: what to say first."""
        newest, _ = self._outgoing.head
        oldest = self._oldest(newest)
        self.state = State.GREETING
        self._credit = 0
        self._in_flight.clear()
        return [
            Send(
                Hello(
                    device=self._identity.device,
                    boot=self._identity.boot,
                    software=self._identity.software,
                    models=self._identity.models,
                    oldest=oldest,
                    newest=newest,
                )
            )
        ]

    def lost(self) -> None:
        """The link is gone."""
        self.state = State.OFFLINE
        self._in_flight.clear()

    def pump(self, limit: int = 1_000) -> list[Action]:
        """Records that may be sent now: as credit allows, at most ``limit``.

        Call it after every ``receive``, when a record was appended, and again as long as
        it returns anything.
        """
        room = min(limit, self._credit - len(self._in_flight))
        if self.state is not State.STREAMING or room <= 0:
            return []
        actions: list[Action] = []
        for record in self._outgoing.pending(self._sent, room):
            header = decode_header(record.header)
            if header.seq != self._sent + 1:
                raise IntegrityError(
                    f"the buffer gave record {header.seq} after {self._sent}",
                    "run `bayscribe inspect` on the buffer",
                    code="buffer-order",
                )
            self._sent = header.seq
            value = chain.link(header.previous, record.header)
            self._in_flight.append((header.seq, value))
            actions.append(Send(_message(header, record)))
        return actions

    def receive(self, message: FromRelay | None) -> list[Action]:
        """A message came; None for one of a type unknown here."""
        match message:
            case None:
                self.ignored += 1
                return []
            case Welcome():
                return self._welcome(message)
            case _ if self.state is State.GREETING:
                return self._violation("something came before welcome")
            case Ack():
                return self._ack(message)
            case Credit():
                self._credit = message.credit
                return []
            case Refuse():
                self.state = State.HELD
                text = f"the relay refused record {message.seq}: {message.reason}"
                return [self._alarm(AlarmCode.REFUSED, text)]
            case Prompt() | PromptWithdrawn() | Command():
                return [Deliver(message)]

    # -- inside

    def _oldest(self, newest: int) -> int:
        first: Sequence[OutgoingRecord] = self._outgoing.pending(0, 1)
        return decode_header(first[0].header).seq if first else newest + 1

    def _welcome(self, message: Welcome) -> list[Action]:
        if self.state is not State.GREETING:
            return self._violation("welcome came twice")
        newest, head = self._outgoing.head
        if message.durable > newest:
            return self._hold(
                AlarmCode.RELAY_AHEAD,
                f"the relay holds {message.durable} records of this unit, its buffer only {newest}",
            )
        oldest = self._oldest(newest)
        if message.durable < oldest - 1:
            return self._hold(
                AlarmCode.RELAY_BEHIND,
                f"the relay ends at record {message.durable}, "
                f"but everything before {oldest} was acknowledged and erased",
            )
        following = self._outgoing.pending(message.durable, 1)
        here = decode_header(following[0].header).previous if following else head
        if here != message.chain:
            return self._hold(
                AlarmCode.FORK, f"the relay's chain at record {message.durable} is not this unit's"
            )
        self.state = State.STREAMING
        self._credit = message.credit
        self._acks_carry_chain = message.minor >= 1
        self._sent = message.durable
        if message.durable >= oldest:
            return self._acknowledge(message.durable)
        self.acknowledged = max(self.acknowledged, message.durable)
        return []

    def _ack(self, ack: Ack) -> list[Action]:
        if ack.through > self._sent:
            return self._violation("the relay acknowledged what was never sent")
        if not self._in_flight or ack.through < self._in_flight[0][0]:
            return []  # an old acknowledgement, said again
        here = self._in_flight[ack.through - self._in_flight[0][0]][1]
        if ack.chain != here and (ack.chain is not None or self._acks_carry_chain):
            return self._violation("the relay acknowledged other records than these")
        while self._in_flight and self._in_flight[0][0] <= ack.through:
            self._in_flight.popleft()
        return self._acknowledge(ack.through)

    def _acknowledge(self, through: int) -> list[Action]:
        self._outgoing.acknowledge(through)
        self.acknowledged = max(self.acknowledged, through)
        if self._alarmed and self.state is State.STREAMING:
            self._alarmed = False
            return [AlarmCleared()]
        return []

    def _hold(self, code: AlarmCode, text: str) -> list[Action]:
        self.state = State.HELD
        return [self._alarm(code, text)]

    def _violation(self, text: str) -> list[Action]:
        self.state = State.HELD
        return [self._alarm(AlarmCode.PROTOCOL, text), Close(CLOSE_MALFORMED, text)]

    def _alarm(self, code: AlarmCode, text: str) -> Alarm:
        self._alarmed = True
        return Alarm(code, text)


def _message(header: Header, record: OutgoingRecord) -> Segment | Encounter:
    if isinstance(header, SegmentHeader):
        return Segment(header=record.header, signature=record.signature, sealed=record.sealed)
    return Encounter(header=record.header, signature=record.signature)
