"""A prompt's moment: nobody speaks, and the unit knows that nobody does."""

from bayscribe.prompts.quiet import QuietMoment
from bayscribe.stream import SpeechFrame, TrackFrame
from bayscribe.units import SampleIndex

HOP = 512


def frames(first: int, count: int, probability: float) -> list[SpeechFrame]:
    return [SpeechFrame(SampleIndex(first + HOP * (k + 1)), probability) for k in range(count)]


def test_silence_of_both_witnesses_counts_and_the_one_behind_decides() -> None:
    moment = QuietMoment()
    moment.hear(frames(0, 40, 0.01), frames(0, 25, 0.01), ())
    assert abs(moment.lasts_s() - 24 * HOP / 16_000) < 1e-9


def test_a_word_to_the_microphones_alone_begins_the_wait_anew() -> None:
    moment = QuietMoment()
    moment.hear(frames(0, 40, 0.01), frames(0, 40, 0.01), ())
    moment.hear(frames(40 * HOP, 1, 0.9), (), ())
    assert moment.lasts_s() == 0.0


def test_a_talker_beside_the_beam_counts() -> None:
    moment = QuietMoment()
    moment.hear(frames(0, 40, 0.01), frames(0, 40, 0.01), ())
    moment.hear((), (), [TrackFrame(SampleIndex(39 * HOP), (), speech=2.0)])
    assert moment.lasts_s() <= HOP / 16_000


def test_a_line_without_direction_has_no_opinion() -> None:
    moment = QuietMoment()
    moment.hear(frames(0, 40, 0.01), frames(0, 40, 0.01), [TrackFrame(SampleIndex(20_000), ())])
    assert moment.lasts_s() > 1.0


def test_audio_that_nobody_analysed_is_not_silence() -> None:
    moment = QuietMoment()
    assert moment.lasts_s() == 0.0
    moment.hear(frames(0, 40, 0.01), frames(0, 40, 0.01), ())
    moment.hear(frames(80 * HOP, 1, 0.01), frames(80 * HOP, 1, 0.01), ())
    assert moment.lasts_s() == 0.0
    moment.forget()
    assert moment.lasts_s() == 0.0
