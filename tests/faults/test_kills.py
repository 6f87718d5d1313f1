from pathlib import Path

import pytest

from faults.kill_synthetic import KINDS, run


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids="-and-".join)
def test_killed_at_random_instants_nothing_acknowledged_is_lost_or_stored_twice(
    kind: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root / 'daemon'}:{root / 'relay'}:{root / 'tests'}")
    assert run(tmp_path, [kind], times=5, seed=11) > 20
