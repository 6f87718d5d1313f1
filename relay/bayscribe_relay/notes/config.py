"""The ``[notes]`` table: which note a site wants.

::

    [notes]
    type = "emergency"

    [notes.model]                                # an option; without it no model takes part
    url = "https://models.hospital.example/v1"
    model = "clinical-notes"
    api_key_file = "model.key"
    ca = "hospital-ca.pem"
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import replace

from bayscribe.errors import ConfigError
from bayscribe_relay.notes.kinds import NOTE_TYPES


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint that speaks OpenAI's chat completions; what is said and charted is sent to it.

    Attributes:
        url: base address, to which ``/chat/completions`` is added; https, or http on this
            machine alone.
        model: name that the endpoint knows the model by; it stands in the attestation.
        api_key_file: file that holds the key alone; without it none is sent.
        ca: PEM file of the endpoint's authority; the system's authorities by default.
        timeout_s: for a whole answer.
        max_tokens: that an answer may have.
        every_s: least time between two requests for one stay, and from a change to the first.
        parallel: most requests at a time.
        json_mode: asks for ``response_format`` ``json_object``; off for servers without it.
    """

    url: Annotated[str, Meta(max_length=500)]
    model: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}$")]
    api_key_file: str | None = None
    ca: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 60.0
    max_tokens: Annotated[int, Meta(ge=64, le=65_536)] = 4_096
    every_s: Annotated[float, Meta(gt=0)] = 30.0
    parallel: Annotated[int, Meta(ge=1, le=32)] = 2
    json_mode: bool = True

    def __post_init__(self) -> None:
        if not _address_is_safe(self.url):
            raise ConfigError(
                "notes.model.url: patients' words would travel in the clear, or it is no address",
                "give an https address without user, query or fragment (http: this machine alone)",
            )

    def beside(self, base: Path) -> "ModelConfig":
        """The same with its files' paths absolute, relative ones lying in ``base``."""
        key, ca = self.api_key_file, self.ca
        return replace(
            self,
            api_key_file=None if key is None else str(base / key),
            ca=None if ca is None else str(base / ca),
        )


def _address_is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or port == 0 or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    if parts.scheme == "http":
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False
    return parts.scheme == "https"


class NotesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How drafts are made.

    Attributes:
        type: ``emergency``, ``history-and-physical``, ``procedure``, ``discharge`` or
            ``critical-care``.
        doubtful_below: probability under which a recognised word is marked.
        media_type: in which form the signed note is sent.
        every_s: least time between two compositions of one stay's draft.
        model: a language model that proposes sentences; None for none.
    """

    type: str = "emergency"
    doubtful_below: Annotated[float, Meta(ge=0, le=1)] = 0.5
    media_type: Literal["text/plain", "application/xhtml+xml"] = "text/plain"
    every_s: Annotated[float, Meta(gt=0)] = 1.0
    model: ModelConfig | None = None

    def __post_init__(self) -> None:
        if self.type not in NOTE_TYPES:
            raise ConfigError(f"notes.type: {self.type!r} is not one of {', '.join(NOTE_TYPES)}")

    def beside(self, base: Path) -> "NotesConfig":
        """The same with its files' paths absolute, relative ones lying in ``base``."""
        return self if self.model is None else replace(self, model=self.model.beside(base))
