"""What waits for the broker: bounded, the oldest dropped and counted.

Two kinds. Of a state (levels, health, buffer, status) only the newest is worth sending, so
each channel has one place. Events (alarms, answers) queue up; when the queue is full the
oldest is dropped and counted. Any thread may put; one thread takes.
"""

import threading
from collections import deque
from dataclasses import dataclass

EVENTS = ("alarm", "answer")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that waits: its channel and its bytes."""

    channel: str
    payload: bytes


class Outbox:
    """Messages for the broker.

    Args:
        most: events that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._states: dict[str, Outgoing] = {}
        self._events: deque[Outgoing] = deque()
        self.dropped = 0
        """Events that a full queue has cost, ever."""

    def put(self, channel: str, payload: bytes) -> None:
        """Let a message wait; never blocks for longer than another ``put``."""
        message = Outgoing(channel, payload)
        with self._guard:
            if channel not in EVENTS:
                self._states[channel] = message
                return
            if len(self._events) >= self._most:
                self._events.popleft()
                self.dropped += 1
            self._events.append(message)

    def take_states(self) -> list[Outgoing]:
        """The newest of every state, which then waits no more."""
        with self._guard:
            taken, self._states = list(self._states.values()), {}
        return taken

    def next_event(self) -> Outgoing | None:
        """The oldest event; it stays until :meth:`sent`."""
        with self._guard:
            return self._events[0] if self._events else None

    def sent(self, message: Outgoing) -> None:
        """The broker has an event; it waits no more, unless it was dropped meanwhile."""
        with self._guard:
            if self._events and self._events[0] is message:
                self._events.popleft()

    def __len__(self) -> int:
        with self._guard:
            return len(self._events)
