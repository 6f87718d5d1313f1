"""Line drawings that are an SVG on a page and a vector drawing in a PDF, from one list.

Coordinates: x to the right, y down, in units of a canvas of stated size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reportlab.graphics.shapes import Drawing, Shape

INK, FAINT, MARK = "#1f2933", "#9aa5b1", "#0b7285"


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline."""

    points: tuple[tuple[float, float], ...]
    colour: str = INK
    width: float = 1.5


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle; filled if ``fill`` is a colour."""

    x: float
    y: float
    radius: float
    colour: str = INK
    fill: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    fill: str = MARK


@dataclass(frozen=True, slots=True)
class Label:
    """Text, centred on x."""

    x: float
    y: float
    text: str
    size: float = 11.0
    colour: str = INK


@dataclass(slots=True)
class Canvas:
    """A drawing.

    Attributes:
        width: of the canvas.
        height: of the canvas.
        title: what it shows, for those who cannot see it.
        marks: what is drawn, in order.
    """

    width: float
    height: float
    title: str
    marks: list[Line | Circle | Box | Label] = field(default_factory=list)

    def add(self, *marks: Line | Circle | Box | Label) -> None:
        """Draw on top of what is there."""
        self.marks.extend(marks)

    def svg(self) -> str:
        """As inline SVG."""
        body = "".join(_svg(mark) for mark in self.marks)
        title = escape(self.title)
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{title}" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{title}</title>{body}</svg>"
        )

    def drawing(self) -> "Drawing":
        """For a PDF made with reportlab."""
        from reportlab.graphics.shapes import Drawing

        made = Drawing(self.width, self.height)
        for mark in self.marks:
            made.add(_shape(mark, self.height))
        return made


def _svg(mark: Line | Circle | Box | Label) -> str:
    match mark:
        case Line():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            return (
                f'<polyline points="{points}" fill="none" stroke="{mark.colour}" '
                f'stroke-width="{mark.width:g}"/>'
            )
        case Circle():
            return (
                f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:.1f}" '
                f'stroke="{mark.colour}" fill="{mark.fill or "none"}"/>'
            )
        case Box():
            return (
                f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.width:.1f}" '
                f'height="{mark.height:.1f}" fill="{mark.fill}"/>'
            )
        case Label():
            return (
                f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}" '
                f'text-anchor="middle" fill="{mark.colour}">{escape(mark.text)}</text>'
            )


def _shape(mark: Line | Circle | Box | Label, height: float) -> "Shape":
    from reportlab.graphics import shapes
    from reportlab.lib.colors import HexColor

    match mark:
        case Line():
            flat = [value for x, y in mark.points for value in (x, height - y)]
            return shapes.PolyLine(flat, strokeColor=HexColor(mark.colour), strokeWidth=mark.width)
        case Circle():
            return shapes.Circle(
                mark.x,
                height - mark.y,
                mark.radius,
                strokeColor=HexColor(mark.colour),
                fillColor=HexColor(mark.fill) if mark.fill else None,
            )
        case Box():
            box = shapes.Rect(mark.x, height - mark.y - mark.height, mark.width, mark.height)
            box.fillColor, box.strokeColor = HexColor(mark.fill), None
            return box
        case Label():
            return shapes.String(
                mark.x,
                height - mark.y,
                mark.text,
                fontSize=mark.size,
                fillColor=HexColor(mark.colour),
                textAnchor="middle",
            )


def polar(bearings: Sequence[tuple[str, float, float]], title: str, size: float = 240.0) -> Canvas:
    """Bearings around the unit: name, azimuth in degrees (x axis up), strength 0..1.

    Azimuth grows counter-clockwise seen from above, as in the profile's coordinates.
    """
    canvas = Canvas(size, size, title)
    middle, radius = size / 2, size / 2 - 24
    for share in (1 / 3, 2 / 3, 1):
        canvas.add(Circle(middle, middle, radius * share, FAINT))
    for degrees in range(0, 360, 90):
        x, y = _around(middle, radius + 13, degrees)
        canvas.add(Label(x, y + 4, f"{degrees}°", 10, FAINT))
    for name, azimuth, strength in bearings:
        x, y = _around(middle, radius * max(0.15, min(1.0, strength)), azimuth)
        canvas.add(Line(((middle, middle), (x, y)), MARK, 2.5), Circle(x, y, 5, MARK, MARK))
        if name:
            canvas.add(Label(x, y - 9, name, 11))
    canvas.add(Circle(middle, middle, 6, INK, INK))
    return canvas


def _around(middle: float, radius: float, azimuth_deg: float) -> tuple[float, float]:
    angle = math.radians(azimuth_deg + 90)
    return middle + radius * math.cos(angle), middle - radius * math.sin(angle)


def bars(values: dict[str, float], title: str, low: float, high: float) -> Canvas:
    """Bars side by side, from ``low`` to ``high``, each with its name and value."""
    canvas = Canvas(60.0 + 46.0 * len(values), 170.0, title)
    for index, (name, value) in enumerate(values.items()):
        x = 40.0 + 46.0 * index
        share = max(0.0, min(1.0, (value - low) / (high - low)))
        canvas.add(
            Box(x, 140 - 120 * share, 30, 120 * share),
            Label(x + 15, 156, name, 10),
            Label(x + 15, 136 - 120 * share, f"{value:.0f}", 10),
        )
    canvas.add(Line(((30.0, 140.0), (canvas.width - 10, 140.0)), FAINT))
    return canvas


def curve(values: Sequence[float], step_s: float, title: str, low: float = -60.0) -> Canvas:
    """A decay in dB over time."""
    canvas = Canvas(360.0, 190.0, title)
    for level in range(int(low), 1, 20):
        y = 15 + 145 * level / low
        canvas.add(Line(((44.0, y), (350.0, y)), FAINT, 0.5), Label(24, y + 4, f"{level} dB", 10))
    if values:
        span = max(1, len(values) - 1)
        points = tuple(
            (44 + 306 * index / span, 15 + 145 * max(low, value) / low)
            for index, value in enumerate(values)
        )
        canvas.add(Line(points, MARK, 2.0), Label(330, 178, f"{span * step_s:.1f} s", 10))
    return canvas


def person(azimuth_deg: float | None, what: str) -> Canvas:
    """The unit from above, and where the operator stands; beside it what to do."""
    canvas = Canvas(240.0, 150.0, what)
    canvas.add(Circle(120, 75, 22, INK), Line(((120.0, 53.0), (120.0, 38.0)), INK, 3))
    canvas.add(Label(120, 32, "arrow (x)", 10, FAINT), Label(120, 79, "unit", 10))
    if azimuth_deg is not None:
        angle = math.radians(azimuth_deg + 90)
        x, y = 120 + 62 * math.cos(angle), 75 - 62 * math.sin(angle)
        canvas.add(Circle(x, y, 9, MARK, MARK), Line(((x, y), (120.0, 75.0)), MARK, 1))
    canvas.add(Label(120, 142, what, 11))
    return canvas
