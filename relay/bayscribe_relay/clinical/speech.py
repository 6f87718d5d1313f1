"""What was said, by whom."""

from msgspec import Struct


class Word(Struct, frozen=True, array_like=True):
    """A recognised word: text, start and end in seconds of the recording, probability 0..1."""

    text: str
    start: float
    end: float
    probability: float


class Utterance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A speaker turn and its words.

    Attributes:
        id: ``RECORDING/TURN``: stable while the turn is; a revised turn is a new one.
        device: the appliance.
        recording: the appliance's opaque encounter id.
        stay: our stay, or empty while unbound.
        start: seconds from the recording's first sample.
        end: likewise.
        start_ns: wall clock at ``start``.
        end_ns: wall clock at ``end``.
        speaker: label as attributed.
        primary: the primary clinician's voice.
        confidence: of the attribution, 0..1.
        reattributed: a person changed the speaker on the page.
        azimuth_deg: where the voice came from.
        first_seq: first record of the device's chain that holds it.
        last_seq: last such record.
        words: in order.
        final: no more words will come.
        withdrawn: the turn was revised away.
        model_sha256: of the recogniser that made the words.
        not_transcribed: why some of its audio could not be recognised; empty if all was.
    """

    id: str
    device: str
    recording: str
    stay: str = ""
    start: float
    end: float
    start_ns: int
    end_ns: int
    speaker: str
    primary: bool
    confidence: float
    reattributed: bool = False
    azimuth_deg: float | None = None
    first_seq: int
    last_seq: int
    words: tuple[Word, ...] = ()
    final: bool = True
    withdrawn: bool = False
    model_sha256: str = ""
    not_transcribed: str = ""

    @property
    def text(self) -> str:
        """The words as one line."""
        return " ".join(word.text for word in self.words)
