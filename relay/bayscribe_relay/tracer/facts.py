"""The catalogue's open facts and sources as tables for a site's quality department.

``python -m bayscribe_relay.tracer.facts docs/tracer.md`` writes them between the marks of that
document; a test holds the document to the catalogue.
"""

import sys
from pathlib import Path

import yaml

from bayscribe_relay.tracer.catalogue import FOLDER, load

BEGIN, END = "<!-- facts: made from the catalogue -->", "<!-- end of facts -->"


def tables() -> str:
    """Both tables, in Markdown."""
    gaps = load()
    doubts = [(gap, doubt) for gap in gaps for doubt in gap.doubts]
    lines = [
        f"{len(doubts)} facts of {len({gap.id for gap, _ in doubts})} gaps.",
        "",
        "| Gap | What to confirm | Why | Source |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{gap.id}` ({gap.group}) | {_cell(doubt.claim)} | {_cell(doubt.confirm)} |"
        f" {doubt.source} |"
        for gap, doubt in doubts
    ]
    sources = yaml.safe_load((FOLDER / "sources.yaml").read_text(encoding="utf-8"))["sources"]
    lines += ["", "| Source | What was read | Terms |", "|---|---|---|"]
    lines += [
        f"| {name} | {_cell(body['title'])} | {_cell(body['licence'])} |"
        for name, body in sources.items()
    ]
    return "\n".join(lines)


def filled(document: str) -> str:
    """A document with the tables between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(path: Path) -> None:
    """Write the tables into a document."""
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
