"""From what the unit does to colours, so that state and colour never stand alone.

Every state differs in shape as well as in colour, for whoever cannot tell red from green:

========== ====================== ==========================================
state      colour                 shape
========== ====================== ==========================================
recording  green                  whole ring, steady
offline    green and blue         recording without relay: every third blue
muted      red                    every other LED, steady
fault      amber                  whole ring, half a second on, half off
idle       white                  one LED, dim
========== ====================== ==========================================
"""

from enum import StrEnum

Colour = tuple[int, int, int]
Frame = tuple[Colour, ...]

GREEN: Colour = (0, 160, 0)
BLUE: Colour = (0, 0, 220)
RED: Colour = (220, 0, 0)
AMBER: Colour = (220, 110, 0)
WHITE: Colour = (40, 40, 40)
DARK: Colour = (0, 0, 0)

LEAST_WARNING = 0.1
"""Share of full brightness below which a mute or a fault would not be seen by day."""


class Light(StrEnum):
    """What the light says."""

    RECORDING = "recording"
    OFFLINE = "offline"
    MUTED = "muted"
    FAULT = "fault"
    IDLE = "idle"


def light_of(state: str, *, online: bool) -> Light:
    """From the state file's ``state`` and whether the relay is reached."""
    if state == "recording":
        return Light.RECORDING if online else Light.OFFLINE
    return Light(state) if state in tuple(Light) else Light.FAULT


def frame(light: Light, leds: int, tick: int, brightness: float) -> Frame:
    """Colours of each LED at half-second ``tick``, 0 to 255 each, brightness applied."""
    if light in (Light.MUTED, Light.FAULT):
        brightness = max(brightness, LEAST_WARNING)
    return tuple(_scaled(_colour(light, led, tick), brightness) for led in range(leds))


def _colour(light: Light, led: int, tick: int) -> Colour:
    match light:
        case Light.RECORDING:
            return GREEN
        case Light.OFFLINE:
            return BLUE if led % 3 == 0 else GREEN
        case Light.MUTED:
            return RED if led % 2 == 0 else DARK
        case Light.FAULT:
            return AMBER if tick % 2 == 0 else DARK
        case Light.IDLE:
            return WHITE if led == 0 else DARK


def _scaled(colour: Colour, brightness: float) -> Colour:
    red, green, blue = (round(part * brightness) for part in colour)
    return red, green, blue
