import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bayscribe import resources
from bayscribe.diarize.interpreter import load_network
from bayscribe.errors import ModelError
from diarize.tflite_outputs import outputs

REPOSITORY = Path(__file__).resolve().parents[2]
OLD_PYTHON = REPOSITORY / ".venv-tflite" / "bin" / "python"


def test_both_runtimes_say_the_same_of_every_network() -> None:
    assert OLD_PYTHON.exists(), "make .venv-tflite with ./run test"
    done = subprocess.run(
        [str(OLD_PYTHON), str(Path(__file__).with_name("tflite_outputs.py")), "tflite-runtime"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "daemon")},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    old, new = json.loads(done.stdout), outputs("ai-edge-litert")
    for name, values in new.items():
        for key, value in values.items():
            a, b = np.array(value), np.array(old[name][key])
            likeness = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
            assert likeness > 0.98, f"{name}.{key} differs between the runtimes: {likeness}"


def test_state_never_leaks_from_one_invocation_into_the_next() -> None:
    network = load_network("speech")
    state = {"h": np.zeros((1, 128), np.float32), "c": np.zeros((1, 128), np.float32)}
    heard = np.random.default_rng(3).normal(0, 0.1, (1, 576)).astype(np.float32)
    first = network.run({"x": heard, **state})["prob"]
    network.run({"x": 10 * heard, "h": state["h"] + 1, "c": state["c"] - 1})
    assert np.array_equal(network.run({"x": heard, **state})["prob"], first)


def test_an_altered_network_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(resources.models(), folder)
    victim = folder / "silero_fp16.tflite"
    data = bytearray(victim.read_bytes())
    data[1000] ^= 1
    victim.write_bytes(data)
    with pytest.raises(ModelError, match="not the file that the manifest names"):
        load_network("speech", folder=folder)


def test_every_file_of_the_manifest_is_there_and_is_itself() -> None:
    text = (resources.models() / "manifest.toml").read_text()
    for path in resources.models().glob("*.tflite"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text


def test_an_unknown_network_and_a_wrong_shape_are_named() -> None:
    with pytest.raises(ModelError, match="unknown network 'hearing'"):
        load_network("hearing")
    with pytest.raises(ModelError, match="takes"):
        load_network("speech").run({"x": np.zeros((1, 3), np.float32)})
