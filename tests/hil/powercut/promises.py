"""What the guest has promised over all its boots, and what of it did not hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Promises:
    """The judge of one data disk.

    Attributes:
        chains: chain value after each record whose append returned.
        appended: newest of them.
        acknowledging: newest that an acknowledgement was begun for.
        acknowledged: newest that an acknowledgement returned for.
        openings: how often the buffer was opened.
        checked: how often everything unacknowledged was read back and verified.
        repairs: how often an inspection saw the traces of a cut before they were removed.
        lost: records whose append had returned and that were gone.
        losses: how many cuts lost any.
        broken: the guest could not go on.
        problems: all of what did not hold, losses among it, in words.
    """

    chains: dict[int, str] = field(default_factory=dict)
    appended: int = 0
    acknowledging: int = 0
    acknowledged: int = 0
    openings: int = 0
    checked: int = 0
    repairs: int = 0
    lost: int = 0
    losses: int = 0
    broken: bool = False
    problems: list[str] = field(default_factory=list)

    def hear(self, lines: Sequence[str]) -> None:
        """Take in one boot's lines, the promises of those before in mind."""
        for line in lines:
            match line.split(" "):
                case ["INSPECT", *verdict]:
                    self._inspected(" ".join(verdict))
                case ["BROKEN", *rest]:
                    self.broken = True
                    self.problems.append(f"broken: {' '.join(rest)}")
                case ["FOUND", newest, acked, chain]:
                    self._found(int(newest), int(acked), chain)
                case ["VERIFIED", _]:
                    self.checked += 1
                case ["APPENDED", seq, chain]:
                    self.appended = int(seq)
                    self.chains[int(seq)] = chain
                case ["ACKNOWLEDGING", seq]:
                    self.acknowledging = max(self.acknowledging, int(seq))
                case ["ACKNOWLEDGED", seq]:
                    self.acknowledged = max(self.acknowledged, int(seq))

    def _inspected(self, verdict: str) -> None:
        if verdict == "power cut":
            self.repairs += 1
        elif verdict != "intact":
            self.problems.append(f"an inspection takes the cut for something else: {verdict}")

    def _found(self, newest: int, acked: int, chain: str) -> None:
        self.openings += 1
        if newest < self.appended:
            self.lost += self.appended - newest
            self.losses += 1
            self.problems.append(f"lost records {newest + 1} to {self.appended}")
        if newest > self.appended + 1:
            self.problems.append(f"{newest - self.appended} records more than were appended")
        if not self.acknowledged <= acked <= max(self.acknowledged, self.acknowledging):
            self.problems.append(f"acknowledged up to {acked}, said {self.acknowledged}")
        if self.chains.setdefault(newest, chain) != chain:
            self.problems.append(f"record {newest} is another one than was appended")
        self.appended = newest
        self.acknowledged = self.acknowledging = acked
