"""How a site and its clinicians want to be prompted."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Bay = Literal["off", "chime", "speech"]
Seconds = Annotated[float, Meta(gt=0)]


class ClinicianPrompts(Struct, frozen=True, forbid_unknown_fields=True):
    """One clinician's own wish; what is left out is as the site has it."""

    page: bool | None = None
    bay: Bay | None = None


class PromptsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts of one site.

    Attributes:
        page: show prompts on the clinician's page.
        bay: in the bay: nothing, a chime, or a chime and speech.
        most: prompts given in ``within_s``, at most.
        within_s: the window of ``most``.
        apart_s: least time between two.
        urgent_s: a prompt whose deadline is nearer than this waits for no limit.
        bay_expires_s: how long a unit may wait for a quiet moment before it gives up.
        answer_s: how long after a prompt was played a short answer is taken as its answer.
        voice: espeak-ng voice.
        clinicians: by NPI.
    """

    page: bool = True
    bay: Bay = "chime"
    most: Annotated[int, Meta(ge=1)] = 4
    within_s: Seconds = 600.0
    apart_s: Annotated[float, Meta(ge=0)] = 20.0
    urgent_s: Annotated[float, Meta(ge=0)] = 900.0
    bay_expires_s: Seconds = 90.0
    answer_s: Seconds = 20.0
    voice: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+_/-]{1,40}$")] = "en-us"
    clinicians: dict[Annotated[str, Meta(pattern=r"^[12]\d{9}$")], ClinicianPrompts] = {}

    def of(self, npi: str) -> "PromptsConfig":
        """As this clinician wants it."""
        own = self.clinicians.get(npi)
        if own is None:
            return self
        return msgspec.structs.replace(
            self,
            page=self.page if own.page is None else own.page,
            bay=self.bay if own.bay is None else own.bay,
        )
