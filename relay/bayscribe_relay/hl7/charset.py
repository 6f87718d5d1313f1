"""Character sets of a message by MSH-18 (HL7 table 0211)."""

from typing import Final

KNOWN: Final = {
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "ISO IR 6": "ascii",
    "US-ASCII": "ascii",
    **{f"8859/{n}": f"iso8859-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **{f"ISO-8859-{n}": f"iso8859-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **{f"ISO8859-{n}": f"iso8859-{n}" for n in (1, 2, 15)},
    "ISO IR100": "iso8859-1",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
}
"""MSH-18 as sent, in upper case, to Python's codec; some common misspellings included."""


class UnknownCharset(ValueError):  # noqa: N818 - a fact about the message, answered to its sender
    """MSH-18 names a character set that is not read here."""


def codec_of(declared: str) -> str | None:
    """The codec for MSH-18, or None if it says nothing.

    Raises:
        UnknownCharset: it names one that is not known.
    """
    name = declared.strip().upper()
    if not name:
        return None
    try:
        return KNOWN[name]
    except KeyError:
        raise UnknownCharset(declared) from None


def decode(data: bytes, declared: str, default: str) -> tuple[str, bool]:
    """A message's text, and whether every byte belonged to its character set.

    Without a declaration UTF-8 is tried first (it is hard to meet by accident), then the
    site's default. Bytes that do not belong become U+FFFD.

    Raises:
        UnknownCharset: the declaration is not known.
    """
    codec = codec_of(declared)
    for candidate in (codec,) if codec else ("utf-8", default):
        try:
            return data.decode(candidate), True
        except UnicodeDecodeError:
            continue
    return data.decode(codec or default, "replace"), False
