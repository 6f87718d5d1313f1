"""The report for the asset file: one HTML page and one PDF of the same results."""

import json
from html import escape
from io import BytesIO
from pathlib import Path

import msgspec

from bayscribe import __version__
from bayscribe.commission import drawing, record
from bayscribe.commission.bench import Bench
from bayscribe.commission.drawing import Canvas
from bayscribe.commission.engine import Commissioning
from bayscribe.commission.outcome import Outcome
from bayscribe.commission.record import RESULTS, Results, geometry_sha256
from bayscribe.enrol.keystore import replace_file
from bayscribe.errors import BayscribeError
from bayscribe.telemetry.messages import now

HTML, PDF = "report.html", "report.pdf"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #ccc;vertical-align:top}.passed{color:#1b5e20}.failed{color:#b71c1c}
.skipped{color:#8a5a00}figure{display:inline-block;margin:1rem;width:20rem}
"""


def results_of(bench: Bench, engine: Commissioning, answers: dict[str, str]) -> Results:
    """Everything that was measured."""
    steps = {}
    for step in engine.steps:
        mine = engine.progress[step.id]
        if step.id == "report" or mine.outcome is None:
            continue
        steps[step.id] = {
            "title": step.title,
            "state": mine.state.value,
            "attempts": mine.attempts,
            "words": mine.outcome.words,
            "figures": dict(mine.outcome.figures),
        }
    return Results(
        device=bench.device,
        site=bench.config.unit.site,
        bay=bench.config.unit.bay,
        at=now(),
        software=__version__,
        operator=answers.get("operator", ""),
        asset=answers.get("asset", ""),
        remarks=answers.get("remarks", ""),
        profile=bench.profile.name,
        geometry_sha256=geometry_sha256(bench.profile),
        sensitivity_dbfs_at_94db_spl=bench.calibrated.sensitivity_dbfs_at_94db_spl,
        steps=steps,
    )


def write(bench: Bench, engine: Commissioning, answers: dict[str, str]) -> Outcome:
    """Write, sign and read back the report; the last step's outcome."""
    folder = bench.folder
    try:
        key = bench.signing_key()
        results = results_of(bench, engine, answers)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / record.SIGNATURE).unlink(missing_ok=True)
        pages = {
            RESULTS: msgspec.json.format(msgspec.json.encode(results)),
            HTML: html(results).encode(),
            PDF: pdf(results),
        }
        for name, data in pages.items():
            replace_file(folder / name, data, 0o644)
        record.sign(folder, results.device, list(pages), key)
        record.load(folder, results.device, key.public_key())
    except BayscribeError as error:
        return Outcome(False, str(error), advice=error.what_to_do)
    except OSError as error:
        return Outcome(False, f"{folder}: {error.strerror}", advice="Check the disk.")
    figures = {"folder": str(folder), "files": [*pages, record.SIGNATURE]}
    return Outcome(True, f"signed by {results.device}: {folder / PDF}", figures)


def plots(results: Results) -> list[Canvas]:
    """What the results show in pictures."""
    found = []
    bearings = [
        (name, float(azimuth), 0.9)
        for name in ("bed", "door", "alarm")
        if isinstance(azimuth := results.figure(name, "azimuth_deg"), int | float)
    ]
    if bearings:
        found.append(drawing.polar(bearings, "Bearings from above, the arrow is 0 degrees"))
    octaves = results.figure("noise", "octaves_db_spl")
    if isinstance(octaves, dict):
        found.append(drawing.bars(octaves, "Noise floor in octaves, dB SPL", 0, 80))
    decay = results.figure("reverberation", "decay_db_per_10ms")
    if isinstance(decay, list):
        found.append(drawing.curve(decay, 0.01, "Decay of sound, dB"))
    return found


def _heading(results: Results) -> list[tuple[str, str]]:
    sensitivity = f"{results.sensitivity_dbfs_at_94db_spl:.1f} dBFS at 94 dB SPL"
    return [
        ("Unit", results.device),
        ("Site, bay", f"{results.site}, {results.bay}"),
        ("Asset number", results.asset or "-"),
        ("Commissioned by", results.operator or "-"),
        ("At", results.at),
        ("Software", results.software),
        ("Array", results.profile),
        ("Geometry SHA-256", results.geometry_sha256),
        ("Sensitivity", sensitivity),
        ("Remarks", results.remarks or "-"),
    ]


def html(results: Results) -> str:
    """The page, with all results inside it as JSON."""
    heading = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _heading(results)
    )
    rows = "".join(
        f'<tr><td>{escape(step["title"])}</td><td class="{escape(step["state"])}">'
        f"{escape(step['state'])}</td><td>{escape(step['words'])}</td></tr>"
        for step in results.steps.values()
    )
    figures = "".join(
        f"<figure>{canvas.svg()}<figcaption>{escape(canvas.title)}</figcaption></figure>"
        for canvas in plots(results)
    )
    embedded = json.dumps(msgspec.to_builtins(results)).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Commissioning of {escape(results.device)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>Commissioning report</h1><table>{heading}</table>"
        f"<h2>Steps</h2><table>{rows}</table>{figures}"
        "<p>Signed by the unit: signature.json beside this file names its SHA-256.</p>"
        f'<script type="application/json" id="results">{embedded}</script></body></html>\n'
    )


def pdf(results: Results) -> bytes:
    """The same for printing."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    styles = getSampleStyleSheet()
    small, normal = styles["BodyText"], styles["Normal"]

    def cell(text: str) -> Paragraph:
        return Paragraph(escape(text), small)

    grid = TableStyle(
        [("LINEBELOW", (0, 0), (-1, -1), 0.3, "#bbbbbb"), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    )
    heading = [[cell(name), cell(value)] for name, value in _heading(results)]
    steps = [
        [cell(step["title"]), cell(step["state"]), cell(step["words"])]
        for step in results.steps.values()
    ]
    story = [
        Paragraph("Commissioning report", styles["Title"]),
        Table(heading, colWidths=[110, 370], style=grid),
        Spacer(1, 14),
        Table(steps, colWidths=[130, 60, 290], style=grid),
    ]
    for canvas in plots(results):
        story += [Spacer(1, 12), Paragraph(escape(canvas.title), normal), canvas.drawing()]
    signature = "Signed by the unit: signature.json names this file's SHA-256."
    story += [Spacer(1, 12), Paragraph(signature, small)]
    out = BytesIO()
    title = f"Commissioning of {results.device}"
    SimpleDocTemplate(out, pagesize=A4, title=title, author="Bayscribe").build(story)
    return out.getvalue()


def paths(bench: Bench) -> dict[str, Path]:
    """The files of a finished report, by name."""
    names = (RESULTS, HTML, PDF, record.SIGNATURE)
    return {name: bench.folder / name for name in names if (bench.folder / name).is_file()}
