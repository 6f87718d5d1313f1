"""Others on the same scenes, and the sound of the beam: pyroomacoustics, STOI, PESQ.

Runs in the environment of ``requirements.txt`` beside it, which the product does not have;
writes one JSON object a scene, and the turns that a recogniser is to hear. Peers get the
microphones and the geometry alone, except where their name says that they are told the true
direction, or when nobody talks.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyroomacoustics as pra
import soundfile
from pesq import pesq
from pystoi import stoi
from scipy.signal import istft, oaconvolve, stft

from benchmarks.hearing.scoring import si_sdr

RATE = 16_000
STEP = 1_600
FFT, HOP = 512, 256
MICROPHONE, BEST = "microphone", "the best single microphone"
SPAN_S = 0.5
LEAST_TURN_S = 1.5
MOST_DELAY = RATE // 5
AZIMUTHS = np.radians(np.arange(0.0, 360.0, 5.0))
BAND_HZ = [1000, 4000]
"""Band and span that suit these localizers best on these scenes."""

LOADING = 0.03
"""Of a covariance's mean diagonal."""
SPEED_OF_SOUND = 343.0


def geometry(truth: dict[str, Any]) -> np.ndarray:
    """Microphones in the array's own plane, float64 (2, mics), metres."""
    places = np.array(truth["mic_positions"]) - np.array(truth["array_centre"])
    return np.stack([places @ np.array(truth["axis_u"]), places @ np.array(truth["axis_v"])])


def bearings(mics: np.ndarray, places: np.ndarray, method: str) -> list[float]:
    """Azimuth in degrees every 100 ms by a localizer of pyroomacoustics."""
    spectra = np.stack(
        [pra.transform.stft.analysis(m, FFT, HOP, win=np.hanning(FFT)) for m in mics]
    )
    spectra = spectra.transpose(0, 2, 1)
    localizer = pra.doa.algorithms[method](
        places, RATE, FFT, c=SPEED_OF_SOUND, num_src=1, azimuth=AZIMUTHS
    )
    frames, found = round(SPAN_S * RATE / HOP), []
    for step in range(mics.shape[1] // STEP):
        middle = (step * STEP + STEP // 2) // HOP
        low = min(max(0, middle - frames // 2), spectra.shape[2] - frames)
        localizer.locate_sources(spectra[:, :, low : low + frames], freq_range=BAND_HZ)
        found.append(float(np.degrees(localizer.azimuth_recon[0])) % 360.0)
    return found


def delay_and_sum(mics: np.ndarray, places: np.ndarray, azimuth_deg: float) -> np.ndarray:
    """The microphones delayed towards a direction and averaged."""
    towards = np.array([np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))])
    lead = towards @ places / SPEED_OF_SOUND
    spectra = np.fft.rfft(mics, axis=1)
    frequencies = np.fft.rfftfreq(mics.shape[1], 1 / RATE)
    turned = spectra * np.exp(-2j * np.pi * lead[:, None] * frequencies[None])
    return np.asarray(np.fft.irfft(turned.mean(axis=0), mics.shape[1]))


def mvdr(mics: np.ndarray, places: np.ndarray, azimuth_deg: float, noise: np.ndarray) -> np.ndarray:
    """Least noise towards a direction (Capon): noise is the covariance (bins, mics, mics)."""
    towards = np.array([np.cos(np.radians(azimuth_deg)), np.sin(np.radians(azimuth_deg))])
    lead = towards @ places / SPEED_OF_SOUND
    frequencies = np.fft.rfftfreq(FFT, 1 / RATE)
    steering = np.exp(2j * np.pi * frequencies[:, None] * lead[None])
    white = np.trace(noise, axis1=1, axis2=2).real / len(places.T)
    loaded = noise + (LOADING * white + 1e-12)[:, None, None] * np.eye(places.shape[1])
    weighted = np.linalg.solve(loaded, steering[..., None])[..., 0]
    weights = weighted / (steering.conj() * weighted).sum(axis=1, keepdims=True)
    _, _, spectra = stft(mics, RATE, nperseg=FFT, noverlap=FFT - HOP)
    _, heard = istft(
        (weights.conj().T[:, :, None] * spectra).sum(axis=0), RATE, nperseg=FFT, noverlap=FFT - HOP
    )
    return np.asarray(np.pad(heard, (0, max(0, mics.shape[1] - len(heard))))[: mics.shape[1]])


def diffuse(places: np.ndarray) -> np.ndarray:
    """Covariance of sound from everywhere at once, (bins, mics, mics)."""
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=0)
    frequencies = np.fft.rfftfreq(FFT, 1 / RATE)
    field = np.sinc(2 * frequencies[:, None, None] * apart[None] / SPEED_OF_SOUND)
    return np.asarray(field, dtype=np.complex128)


def pauses(mics: np.ndarray, truth: dict[str, Any]) -> np.ndarray:
    """Covariance (bins, mics, mics) of what is heard while, truly, nobody talks."""
    _, _, spectra = stft(mics, RATE, nperseg=FFT, noverlap=FFT - HOP)
    at = np.arange(spectra.shape[2]) * HOP
    silent = np.ones(len(at), dtype=np.bool_)
    for turn in truth["turns"]:
        silent &= (at < turn["start_sample"] - FFT) | (at > turn["end_sample"] + RATE // 4)
    kept = spectra[:, :, silent]
    return np.asarray(np.einsum("ift,jft->fij", kept, kept.conj()) / max(1, kept.shape[2]))


def aligned(reference: np.ndarray, heard: np.ndarray, begin: int) -> np.ndarray:
    """The stretch of ``heard`` that fits best to a reference that begins at ``begin``."""
    low = max(0, begin - MOST_DELAY)
    part = heard[low : begin + len(reference) + MOST_DELAY]
    size = len(part) + len(reference)
    likeness = np.fft.irfft(np.fft.rfft(part, size) * np.conj(np.fft.rfft(reference, size)), size)[
        : max(1, len(part) - len(reference) + 1)
    ]
    at = int(np.abs(likeness).argmax())
    return np.asarray(part[at : at + len(reference)])


def beams(
    truth: dict[str, Any], mics: np.ndarray, ours: dict[str, np.ndarray]
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Turns of one talker who stands, each with what every way of listening makes of it.

    Signals are silent but around their turn.
    """
    places = geometry(truth)
    everywhere, silence = diffuse(places), pauses(mics, truth)
    for turn in truth["turns"]:
        stands = len(turn["segments"]) == 1 and turn["overlap_frac"] == 0
        if not stands or turn["end"] - turn["start"] < LEAST_TURN_S:
            continue
        begin, end, _, _ = turn["segments"][0]
        azimuth = turn["azimuth"][0][2]
        low, high = max(0, begin - MOST_DELAY), min(end + MOST_DELAY, mics.shape[1])
        here = mics[:, low:high]
        made = {
            **{name: signal[low:high] for name, signal in ours.items()},
            **{f"{MICROPHONE} {n}": one for n, one in enumerate(here)},
            "delay-and-sum, true direction": delay_and_sum(here, places, azimuth),
            "MVDR, true direction, diffuse noise": mvdr(here, places, azimuth, everywhere),
            "MVDR, true direction and pauses": mvdr(here, places, azimuth, silence),
        }
        whole = {}
        for name, signal in made.items():
            whole[name] = np.zeros(mics.shape[1])
            whole[name][low : low + len(signal)] = signal
        yield turn, whole


def sound(
    folder: Path, truth: dict[str, Any], mics: np.ndarray, ours: dict[str, np.ndarray], cuts: Path
) -> dict[str, dict[str, float]]:
    """SI-SDR, STOI and PESQ against the direct path, means over turns of one talker who stands.

    Of the single microphones the one of the best SI-SDR. What the recogniser is to hear goes
    to ``cuts``.
    """
    responses = np.load(folder / "rirs_mic0.npz")
    rows: dict[str, list[list[float]]] = {}
    heard_in: dict[str, list[np.ndarray]] = {}
    for turn, made in beams(truth, mics, ours):
        begin, end, place, _ = turn["segments"][0]
        dry, _ = soundfile.read(folder / f"dry_{turn['talker']}.flac")
        reference = oaconvolve(dry[begin:end], responses[f"d_{place}"])[: end - begin]
        for name, signal in made.items():
            heard = aligned(reference, signal, begin)
            cut = signal[max(0, begin - MOST_DELAY) : end + MOST_DELAY]
            heard_in.setdefault(name, []).append(cut.astype(np.float32))
            rows.setdefault(name, []).append(
                [
                    si_sdr(reference[: len(heard)], heard),
                    float(stoi(reference[: len(heard)], heard, RATE)),
                    _pesq(reference[: len(heard)], heard),
                ]
            )
    means = {name: np.nanmean(row, axis=0) for name, row in rows.items()}
    single = [name for name in means if name.startswith(MICROPHONE)]
    best = max(single, key=lambda name: float(means[name][0]))
    kept = {name: name for name in means if name not in single} | {BEST: best}
    numbered: dict[str, Any] = {
        f"{name}|{n}": cut for name, of in kept.items() for n, cut in enumerate(heard_in[of])
    }
    np.savez(cuts, **numbered)
    return {
        name: dict(zip(("si_sdr_db", "stoi", "pesq"), means[of].tolist(), strict=True))
        for name, of in kept.items()
    }


def _pesq(reference: np.ndarray, heard: np.ndarray) -> float:
    try:
        return float(pesq(RATE, reference, heard, "wb"))
    except Exception:  # noqa: BLE001 - it refuses what it takes for silence
        return float("nan")


def main() -> int:
    """One file a scene: ``<out>/<scene>.peers.json``."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description="Localizers, beams and sound on scenes.")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder of our results")
    options = parser.parse_args()
    for folder in options.scenes:
        target = options.out / f"{folder.name}.peers.json"
        mics, _ = soundfile.read(folder / "mics.flac")
        beam, _ = soundfile.read(options.out / folder.name / "beam.wav")
        with np.load(options.out / f"{folder.name}.views.npz") as views:
            ours = {"the beam, blind": beam} | {name: views[name] for name in views.files}
        truth = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
        places = geometry(truth)
        found = {
            "directions": {name: bearings(mics.T, places, name) for name in ("SRP", "MUSIC")},
            "sound": sound(folder, truth, mics.T, ours, target.with_suffix(".npz")),
        }
        target.write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
