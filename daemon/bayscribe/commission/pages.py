"""The pages of the local commissioning front: server-rendered, one small script for live views."""

from html import escape

from bayscribe.commission import drawing
from bayscribe.commission.engine import Field, Step
from bayscribe.commission.outcome import Live
from bayscribe.commission.session import StepView

_STYLE = """
:root{color-scheme:light dark}
body{font:17px/1.5 system-ui,sans-serif;margin:0 auto;max-width:46rem;padding:1rem}
ol{padding-left:1.4rem}li.passed{color:#2e7d32}li.failed{color:#c62828}li.skipped{color:#8a5a00}
li.listening,li.current{font-weight:600}button{font:inherit;padding:.6rem 1.2rem;margin:.3rem 0}
input,select{font:inherit;padding:.4rem;width:100%;box-sizing:border-box}
.card{border:1px solid #8886;border-radius:.5rem;padding:1rem;margin:1rem 0}
svg{width:100%;max-width:20rem;height:auto;background:#fff;border-radius:.4rem}
meter,progress{width:100%}.advice{font-weight:600}.error{color:#c62828}
"""

SCRIPT = """
'use strict';
const live = document.getElementById('live');
async function look() {
  try {
    const answer = await fetch('/live', {credentials: 'same-origin'});
    if (answer.status === 205 || !answer.ok) { location.reload(); return; }
    live.innerHTML = await answer.text();
  } catch (error) { /* the unit is asked again */ }
  setTimeout(look, 400);
}
if (live) { look(); }
"""
"""Replaces the live view; reloads when the step has its verdict."""


def page(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}<script src='/live.js' defer></script></body></html>"
    )


def login(message: str, *, locked: bool) -> str:
    """Where the one-time code is asked."""
    error = f'<p class="error" role="alert">{escape(message)}</p>' if message else ""
    form = (
        ""
        if locked
        else '<form method="post" action="/login"><label>Code on the terminal'
        '<input name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus>'
        '</label><button type="submit">Open</button></form>'
    )
    return page("Commissioning", f"<h1>Commissioning</h1>{error}{form}")


def overview(
    views: list[StepView], step: Step | None, listening: bool, token: str, message: str
) -> str:
    """All steps, and the one that is next."""
    rows = "".join(_row(view, step) for view in views)
    error = f'<p class="error" role="alert">{escape(message)}</p>' if message else ""
    if step is None:
        card = (
            '<div class="card" id="done"><h2>All steps are done: the unit may go live.</h2>'
            '<p><a href="/report.html">Report</a> · <a href="/report.pdf">PDF</a> · '
            '<a href="/results.json">Results</a> · '
            '<a href="/signature.json">Signature</a></p></div>'
        )
    else:
        view = next(view for view in views if view.id == step.id)
        card = _card(step, view, token, listening=listening)
    return page("Commissioning", f"<h1>Commissioning</h1>{error}{card}<ol>{rows}</ol>")


def _row(view: StepView, step: Step | None) -> str:
    kind = "current" if step is not None and view.id == step.id else view.state
    words = f": {escape(view.words)}" if view.words else ""
    return f'<li class="{kind}" id="step-{view.id}">{escape(view.title)} - {view.state}{words}</li>'


def _card(step: Step, view: StepView, token: str, *, listening: bool) -> str:
    hidden = f'<input type="hidden" name="token" value="{token}">'
    body = f"<h2>{escape(step.title)}</h2>{step.picture}<p>{escape(step.instruction)}</p>"
    if listening:
        cancel = (
            f'<form method="post" action="/cancel">{hidden}<button id="cancel">Stop</button></form>'
        )
        return f'<div class="card">{body}<div id="live"></div>{cancel}</div>'
    if view.words:
        body += f'<p class="{view.state}" id="verdict">{escape(view.words)}</p>'
    if view.advice:
        body += f'<p class="advice">{escape(view.advice)}</p>'
    if step.id == "reverberation":
        body += '<p><audio controls src="/sweep.wav"></audio></p>'
    fields = "".join(_field(field) for field in step.fields)
    again = "Try again" if view.attempts else "Start"
    body += (
        f'<form method="post" action="/start/{step.id}">{hidden}{fields}'
        f'<button id="start" type="submit">{again}</button></form>'
    )
    if step.may_skip:
        body += (
            f'<form method="post" action="/skip/{step.id}">{hidden}<label>Leave it out, since'
            '<input name="reason" required></label><button id="skip">Leave out</button></form>'
        )
    return f'<div class="card">{body}</div>'


def _field(field: Field) -> str:
    if field.choices:
        options = "".join(
            f"<option{' selected' if choice == field.default else ''}>{escape(choice)}</option>"
            for choice in field.choices
        )
        return f'<label>{escape(field.label)}<select name="{field.name}">{options}</select></label>'
    kind = 'inputmode="decimal"' if field.number else 'type="text"'
    return (
        f"<label>{escape(field.label)}"
        f'<input name="{field.name}" value="{escape(field.default)}" {kind}></label>'
    )


def live_view(live: Live) -> str:
    """Meters and directions of the step that listens."""
    meters = "".join(
        f'<meter min="20" max="110" low="75" high="95" value="{level:.1f}">{level:.0f} dB</meter>'
        f"<small>microphone {mic}: {level:.0f} dB SPL</small>"
        for mic, level in enumerate(live.levels_db_spl)
    )
    plot = ""
    if live.bearings:
        heard = [("", azimuth, salience) for azimuth, salience in live.bearings]
        plot = drawing.polar(heard, "Directions that are heard now").svg()
    return (
        f'<progress value="{live.progress:.3f}" max="1"></progress>'
        f"<p>{escape(live.note)}</p>{meters}{plot}"
    )
