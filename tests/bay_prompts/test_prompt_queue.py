"""Every way that a prompt can go in the bay."""

from hypothesis import given
from hypothesis import strategies as st

from bayscribe.prompts.queue import MOST_WAITING, Phase, PromptQueue, Room, Settled, Sound
from bayscribe.wire.messages import Prompt

EXPIRES = 1_000


def prompt(ident: str = "p1", *, speech: bool = True, expires: int = EXPIRES) -> Prompt:
    return Prompt(id=ident, text="x", speech=b"w" if speech else None, expires_wall_ns=expires)


def room(
    *,
    wall: int = 1,
    at: float = 0.0,
    recording: bool = True,
    muted: bool = False,
    quiet: bool = True,
) -> Room:
    return Room(wall, at, recording, muted, quiet)


def test_chime_then_speech_then_played() -> None:
    queue = PromptQueue(8.0, plays=True)
    asked = prompt()
    assert queue.take(asked) == []
    assert queue.step(room(quiet=False)) == []
    assert queue.step(room()) == [Sound(asked, "chime")]
    assert queue.step(room()) == []
    assert queue.sounded(1.0, None) == []
    assert queue.step(room(quiet=False, at=2.0)) == []
    assert queue.step(room(at=3.0)) == [Sound(asked, "speech")]
    assert queue.sounded(4.0, None) == [Settled("p1", "played")]
    assert queue.phase is Phase.IDLE


def test_a_chime_alone_is_a_whole_prompt() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt(speech=False))
    queue.step(room())
    assert queue.sounded(1.0, None) == [Settled("p1", "played")]


def test_whoever_speaks_until_the_end_is_never_interrupted() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt())
    for wall in range(1, EXPIRES):
        assert queue.step(room(wall=wall, quiet=False)) == []
    assert queue.step(room(wall=EXPIRES, quiet=True)) == [Settled("p1", "suppressed", "expired")]


def test_whoever_answers_the_chime_is_not_talked_over() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt())
    queue.step(room())
    queue.sounded(1.0, None)
    assert queue.step(room(quiet=False, at=8.9)) == []
    assert queue.step(room(quiet=True, at=9.0)) == [Settled("p1", "played", "chime-only")]


def test_withdrawn_before_it_sounds_is_suppressed_and_while_it_sounds_is_played() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt())
    assert queue.withdraw("p1") == [Settled("p1", "suppressed", "withdrawn")]
    assert queue.step(room()) == []
    queue.take(prompt("p2", speech=False))
    queue.step(room())
    assert queue.withdraw("p2") == []
    assert queue.sounded(1.0, None) == [Settled("p2", "played")]
    queue.take(prompt("p3"))
    queue.step(room())
    queue.sounded(2.0, None)
    assert queue.withdraw("p3") == [Settled("p3", "played", "chime-only")]
    assert queue.withdraw("never-heard-of") == []


def test_without_ears_nothing_sounds() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt())
    assert queue.step(room(muted=True)) == []
    assert queue.step(room(muted=True, wall=EXPIRES)) == [Settled("p1", "suppressed", "muted")]
    queue.take(prompt("p2"))
    assert queue.step(room(recording=False)) == [Settled("p2", "suppressed", "not-recording")]


def test_no_device_a_repeated_prompt_and_too_many() -> None:
    silent = PromptQueue(8.0, plays=False)
    assert silent.take(prompt()) == [Settled("p1", "suppressed", "off")]
    assert silent.take(prompt()) is None
    queue = PromptQueue(8.0, plays=True)
    for number in range(MOST_WAITING):
        assert queue.take(prompt(f"n{number}")) == []
    assert queue.take(prompt("over")) == [Settled("over", "suppressed", "too-many")]


def test_a_device_that_fails_says_so_and_the_next_prompt_has_its_turn() -> None:
    queue = PromptQueue(8.0, plays=True)
    queue.take(prompt("p1"))
    queue.take(prompt("p2", speech=False))
    queue.step(room())
    assert queue.sounded(1.0, "cannot open hw:9") == [Settled("p1", "failed", "cannot open hw:9")]
    assert [type(one) for one in queue.step(room())] == [Sound]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "withdraw", "step", "sounded", "failed"]),
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_every_prompt_gets_one_outcome_and_at_most_one_sounds(
    actions: list[tuple[str, int, bool, bool]],
) -> None:
    queue = PromptQueue(3.0, plays=True)
    settled: list[str] = []
    taken: set[str] = set()
    sounding = 0
    for now, (what, number, quiet, muted) in enumerate(actions):
        done: list[Sound | Settled] = []
        if what == "take":
            taken.add(f"p{number}")
            done += queue.take(prompt(f"p{number}", speech=quiet, expires=40)) or []
        elif what == "withdraw":
            done += queue.withdraw(f"p{number}")
        elif what == "step":
            done += queue.step(room(wall=now, at=float(now), quiet=quiet, muted=muted))
        elif sounding:
            sounding = 0
            done += queue.sounded(float(now), None if what == "sounded" else "broken")
        for one in done:
            if isinstance(one, Sound):
                assert quiet
                assert not muted
                assert not sounding
                sounding = 1
            else:
                settled.append(one.id)
    settled += [one.id for one in queue.end()]
    assert sorted(settled) == sorted(taken)
