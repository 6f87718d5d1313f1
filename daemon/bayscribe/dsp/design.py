"""Filter-and-sum design in the frequency domain, before quantisation.

Everything here is the minimum-variance distortionless beam

    w = (R + mu I)^-1 d / (d^H (R + mu I)^-1 d)

for one or another covariance R of the noise: identity gives delay-and-sum, the
coherence of a diffuse field gives the superdirective beam, a measured covariance gives
the adaptive one. The loading mu is chosen at each frequency as the least one that
keeps the white-noise gain 1 / (w^H w) at or above a stated floor (H. Cox, R. Zeskind,
M. Owen, "Robust adaptive beamforming", IEEE Trans. ASSP 35, 1987), which bounds what
microphone mismatch, self noise and a wrong direction can cost.
"""

import numpy as np

from bayscribe.dsp.geometry import Complexes, Floats

DESIGN_FFT = 512
"""Points of the frequency grid on which filters are designed."""

_BISECTIONS = 30
_CORRECTIONS = 3
_LEAST_LOADING = 1e-9
_MOST_LOADING = 1e6


def design_frequencies(sample_rate: int) -> Floats:
    """The frequencies of the design grid, float64 (DESIGN_FFT // 2 + 1,), Hz."""
    return np.fft.rfftfreq(DESIGN_FFT, 1 / sample_rate).astype(np.float64)


def mvdr_response(
    covariance: Complexes | Floats, steering: Complexes, wng_floor_db: float
) -> Complexes:
    """Distortionless weights with bounded white-noise gain.

    Args:
        covariance: (F, M, M) Hermitian; only its shape matters, not its level.
        steering: complex128 (F, M); the response towards it is one.
        wng_floor_db: least white-noise gain in dB. More than ``10 log10 M`` cannot be
            had; a floor above it gives delay-and-sum.

    Returns:
        complex128 (F, M): the factor with which each microphone's spectrum is
        multiplied, that is conj(w).
    """
    mics = steering.shape[1]
    level = np.einsum("fmm->f", covariance).real / mics
    shape = covariance / np.maximum(level, np.finfo(float).tiny)[:, None, None]
    values, vectors = np.linalg.eigh(shape)
    values = np.maximum(values, 0.0)
    part = np.einsum("fmk,fm->fk", vectors.conj(), steering)
    power = np.abs(part) ** 2
    floor = min(10 ** (wng_floor_db / 10), mics * (1 - 1e-6))
    loading = _least_loading(values, power, floor)
    scaled = part / (values + loading[:, None])
    weights = np.einsum("fmk,fk->fm", vectors, scaled)
    gain = np.einsum("fk,fk->f", power, 1 / (values + loading[:, None]))
    response: Complexes = np.conj(weights / gain[:, None])
    return response


def _least_loading(values: Floats, power: Floats, floor: float) -> Floats:
    """The least mu (F,) with white-noise gain >= floor, by bisection in log mu.

    In the eigenbasis the gain is (sum p/(v+mu))^2 / sum p/(v+mu)^2, which grows with mu.
    """
    low = np.full(len(values), np.log(_LEAST_LOADING))
    high = np.full(len(values), np.log(_MOST_LOADING))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        loaded = values + np.exp(middle)[:, None]
        gain = (power / loaded).sum(axis=1) ** 2 / (power / loaded**2).sum(axis=1)
        enough = gain >= floor
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle)
    loading: Floats = np.exp(high)
    return loading


def impulse_responses(response: Complexes, taps: int) -> Floats:
    """Linear-phase-delayed FIR filters of a response on the design grid.

    The response is delayed by ``taps // 2``, transformed and tapered at both ends
    (raised cosine over an eighth of the taps each), which spares the passband ripple
    that plain truncation would leave.

    Args:
        response: complex128 (F, M) as :func:`mvdr_response` gives it.
        taps: length of the filters, at most DESIGN_FFT.

    Returns:
        float64 (M, taps).
    """
    whole = np.fft.irfft(response, DESIGN_FFT, axis=0)
    centred = np.roll(whole, taps // 2, axis=0)[:taps]
    edge = taps // 8
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / max(edge, 1))
    window = np.ones(taps)
    window[:edge] = ramp
    window[taps - edge :] = ramp[::-1]
    return np.ascontiguousarray((centred * window[:, None]).T)


def frequency_responses(filters: Floats, sample_rate: int, frequencies: Floats) -> Complexes:
    """Response of FIR filters with their delay ``taps // 2`` removed: complex128 (F, M)."""
    taps = filters.shape[1]
    time_s = (np.arange(taps) - taps // 2) / sample_rate
    kernel = np.exp(-2j * np.pi * frequencies[:, None] * time_s[None])
    response: Complexes = kernel @ filters.T.astype(complex)
    return response


def distortionless_filters(response: Complexes, steering: Complexes, taps: int) -> Floats:
    """:func:`impulse_responses` with what truncation did to the look direction put right.

    What is missing to a response of one is added as a delay-and-sum beam, which is the
    change of least norm; it is short, so a few rounds leave next to nothing.

    Args:
        response: complex128 (F, M).
        steering: complex128 (F, M); zeros for a microphone that is not used.
        taps: length of the filters.

    Returns:
        float64 (M, taps).
    """
    filters = impulse_responses(response, taps)
    used = np.count_nonzero(np.abs(steering[0]))
    delay = np.roll(np.arange(DESIGN_FFT), taps // 2)[:taps]
    for _ in range(_CORRECTIONS):
        padded = np.zeros((len(filters), DESIGN_FFT))
        padded[:, delay] = filters
        heard = np.einsum("mf,fm->f", np.fft.rfft(padded, axis=1), steering)
        missing = (1.0 - heard)[:, None] * np.conj(steering) / used
        filters += impulse_responses(missing, taps)
    return filters
