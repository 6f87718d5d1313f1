"""From microphones to directions and to one beam.

Here live array geometry and the design of filter weights (:mod:`.geometry`,
:mod:`.design`, :mod:`.weights`), the fixed-point filter-and-sum that applies them
(:mod:`.beam`), the localization and tracking of talkers (:mod:`.spectra`,
:mod:`.noise`, :mod:`.localize`, :mod:`.track`) and what adapts the beam to the noise
field and the talker (:mod:`.adaptive`). Weights may be designed in
floating point; what touches the audio that is kept is integer arithmetic alone.

Nothing here reads a device, a file, a clock or an array profile: stages take plain
geometry, ``mics: float64 (M, 3)`` in metres, and are driven by sample index. Networks,
voices and speaker identity belong to :mod:`bayscribe.diarize`.
"""
