"""Run every network on one runtime over fixed input; print the outputs as JSON.

Started by the tests with the interpreter of either environment, so it needs nothing but
the product's TFLite port.
"""

import json
import sys

import numpy as np

from bayscribe.diarize.interpreter import RUNTIMES, load_network

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "speech": {"x": (1, 576), "h": (1, 128), "c": (1, 128)},
    "speaker": {"fbank": (1, 150, 80)},
    "near": {"x": (1, 262), "h": (2, 224)},
    "bearings": {"maps": (1, 32, 72), "scalars": (1, 98)},
}


def outputs(runtime: str) -> dict[str, dict[str, list[float]]]:
    """Flattened outputs by network and name."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, shapes in SHAPES.items():
        random = np.random.default_rng(7)
        network = load_network(name, runtime=runtime)
        inputs = {
            key: random.normal(0, 0.1, shape).astype(np.float32) for key, shape in shapes.items()
        }
        for _ in range(2):
            result = network.run(inputs)
        found[name] = {key: value.ravel().tolist() for key, value in result.items()}
    return found


if __name__ == "__main__":
    assert sys.argv[1] in RUNTIMES
    json.dump(outputs(sys.argv[1]), sys.stdout)
