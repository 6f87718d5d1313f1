"""What a unit can be told about control in the room."""

from msgspec import Struct


class ControlConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[control]`` table.

    Attributes:
        button: input event device of the mute button (a ``gpio-keys`` overlay or a USB HID
            button), for instance ``/dev/input/by-path/platform-button-event``; empty: none.
    """

    button: str = ""
