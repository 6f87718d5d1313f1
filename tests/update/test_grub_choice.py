"""GRUB's script and the unit's own model of it must choose the same slot.

The script is run here by a small interpreter of the few GRUB words that it is made of.
"""

import itertools
import re

import pytest
from image.declaration import HERE

from bayscribe.update.bootstate import STATES, BootState

SCRIPT = (HERE / "files" / "grub.cfg").read_text()


def choices(variables: dict[str, str], startable: str) -> tuple[str | None, dict[str, str]]:
    """Which slot the script starts, and the environment block that it saves.

    GRUB's script is shell-like; the differences (functions that boot, load_env, save_env,
    regexp) are turned into shell, and the shell runs it.
    """
    import subprocess

    body = SCRIPT.replace("@PARAMETERS@", "")
    body = re.sub(r"^load_env .*$", "", body, flags=re.MULTILINE)
    body = re.sub(r"^regexp .*$", "", body, flags=re.MULTILINE)
    body = re.sub(r"\bset (\w+)=", r"\1=", body)
    body = body.replace("function start {", "start() {")
    body = re.sub(r"save_env .*$", 'echo "saved $A_STATE $B_STATE"', body, flags=re.MULTILINE)
    body = re.sub(r"if linux [^;]*;", 'if startable "$label";', body)
    body = re.sub(r"^\s*initrd .*$", "", body, flags=re.MULTILINE)
    body = re.sub(r"^(\s*)boot$", r"\1echo booted $label; exit", body, flags=re.MULTILINE)
    body = re.sub(r"^(sleep 10|reboot)$", "", body, flags=re.MULTILINE)
    settings = "".join(f'{name}="{value}"\n' for name, value in variables.items())
    head, _, rest = body.partition("B_STATE=void\n")
    shell = f'startable() {{ case "{startable}" in *$1*) true;; *) false;; esac; }}\n'
    script = f"{shell}{head}B_STATE=void\n{settings}{rest}"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    booted = re.search(r"booted (\w)", said.stdout)
    saved = re.findall(r"saved (\w+) (\w+)", said.stdout)
    after = dict(zip(("a", "b"), saved[-1], strict=True)) if saved else {}
    return (booted[1] if booted else None), after


@pytest.mark.parametrize("first", ["a", "b"])
def test_every_state_starts_the_slot_that_the_unit_expects(first: str) -> None:
    for a, b in itertools.product(sorted(STATES), repeat=2):
        state = BootState(first="a" if first == "a" else "b", a=a, b=b)
        order = "A B" if first == "a" else "B A"
        slot, saved = choices({"ORDER": order, "A_STATE": a, "B_STATE": b}, "ab")
        assert slot == state.starts(), (first, a, b)
        if slot is not None and state.of(slot) in ("1", "2", "3"):
            assert saved[slot] == str(int(state.of(slot)) - 1)
        else:
            assert not saved


def test_a_slot_that_does_not_load_gives_way_to_the_other() -> None:
    both = {"ORDER": "B A", "A_STATE": "good", "B_STATE": "good"}
    assert choices(both, "a")[0] == "a"
    trial = {"ORDER": "B A", "A_STATE": "good", "B_STATE": "3"}
    slot, saved = choices(trial, "a")
    assert (slot, saved["b"]) == ("a", "2")


def test_a_slot_that_is_being_written_is_not_even_a_last_resort() -> None:
    writing = {"ORDER": "A B", "A_STATE": "good", "B_STATE": "void"}
    assert choices(writing, "b")[0] is None


def test_an_unreadable_environment_starts_slot_a() -> None:
    assert choices({}, "ab")[0] == "a"
