"""Everything in the room that shows or changes what the unit does, as one part."""

from collections.abc import Mapping
from pathlib import Path

from bayscribe.config import Config
from bayscribe.control.button import Button
from bayscribe.control.mute import Muted, MuteSwitch
from bayscribe.control.socket import ControlSocket, Handler
from bayscribe.indicator.indicator import Indicator, ring_maker
from bayscribe.indicator.pattern import light_of
from bayscribe.listening import MUTED_FILE


class RoomControl:
    """Mute switch, button, local socket and light of a running unit.

    Args:
        config: the unit's.
        capture: what a mute silences.
        handlers: further requests of the local socket.
    """

    def __init__(self, config: Config, capture: Muted, handlers: Mapping[str, Handler]) -> None:
        state, runtime = Path(config.unit.state_directory), Path(config.unit.runtime_directory)
        self.switch = MuteSwitch(capture, state / MUTED_FILE)
        self._indicator = Indicator(ring_maker(config.indicator), config.indicator.brightness)
        button = config.control.button
        self._button = (
            Button(Path(button), lambda: self.switch.toggle("button")) if button else None
        )
        own: dict[str, Handler] = {
            "mute": lambda _request: self._set(muted=True),
            "unmute": lambda _request: self._set(muted=False),
        }
        self._socket = ControlSocket(runtime, {**own, **handlers})

    @property
    def light(self) -> str:
        """How the light is."""
        return self._indicator.status

    def start(self) -> None:
        """Begin to listen and to shine."""
        self._indicator.start()
        self._socket.start()
        if self._button is not None:
            self._button.start()

    def show(self, state: str, *, online: bool) -> None:
        """Show what the unit does; never waits."""
        self._indicator.show(light_of(state, online=online))

    def stop(self) -> None:
        """End it all."""
        if self._button is not None:
            self._button.stop()
        self._socket.stop()
        self._indicator.stop()

    def _set(self, *, muted: bool) -> dict[str, object]:
        self.switch.set(muted, "local")
        return {"muted": self.switch.is_muted}
