"""What a unit can be told about its light."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Driver = Literal["none", "respeaker-usb-4mic-v2", "respeaker-xvf3800", "apa102"]


class IndicatorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[indicator]`` table.

    Attributes:
        driver: of the ring; ``none``: the state file alone.
        brightness: 0 to 1. A muted or faulty unit is shown at a tenth at least.
        spi: SPI device of an ``apa102`` ring.
        leds: how many LEDs an ``apa102`` ring has: 12 on the 4- and 6-microphone HATs, 3 on
            the 2-microphone one.
    """

    driver: Driver = "none"
    brightness: Annotated[float, Meta(ge=0, le=1)] = 0.3
    spi: str = "/dev/spidev0.1"
    leds: Annotated[int, Meta(ge=1, le=64)] = 12
