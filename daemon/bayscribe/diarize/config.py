"""Thresholds of the speaker stage."""

from typing import Annotated

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]


class DiarizeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the speaker stage assumes. Log-likelihood ratios are per frame of 100 ms.

    Attributes:
        speech_bias: of the logistic fusion that says speech against pause.
        speech_vad: its weight of the network's log-odds, averaged over 0.5 s.
        speech_track: its weight of the tracks' log-odds, averaged over 0.5 s.
        voice_gain: log-likelihood ratio per unit of cosine.
        stranger_cosine: cosine to a person below which somebody new is likelier.
        place_gain: share of the places' log-likelihood ratio that is believed.
        place_prior_frames: frames of speech after which places count half.
        place_keep: what is left of a place's memory after each further frame.
        least_place: least density of a place, against anywhere: people walk.
        switch: log-chance that another person goes on at a frame.
        stop: log-chance that speech ends at a frame.
        start: log-chance that speech begins at a frame, shared by all persons.
        anchor_weight: windows of 1.5 s that a frozen anchor counts as.
        widest_drift_deg: angle between an anchor and its adapted voice, at most.
        memory_windows: windows that a voice remembers.
        most_unknown: persons beside the known ones, at most.
        merge_cosine: two unknown voices closer than this are one person.
        least_new_s: a stretch of speech that founds a new person lasts this long.
        least_learn: confidence below which a turn teaches nothing.
        longest_turn_s: a longer turn is emitted in pieces.
    """

    speech_bias: float = 1.5
    speech_vad: float = 0.35
    speech_track: float = 0.25
    voice_gain: Positive = 2.5
    stranger_cosine: float = 0.25
    place_gain: Share = 0.3
    place_prior_frames: Positive = 50.0
    place_keep: Share = 0.999
    least_place: Share = 0.2
    switch: float = -5.0
    stop: float = -3.0
    start: float = -3.0
    anchor_weight: Positive = 8.0
    widest_drift_deg: Positive = 50.0
    memory_windows: Positive = 400.0
    most_unknown: Annotated[int, Meta(ge=1, le=16)] = 6
    merge_cosine: Share = 0.65
    least_new_s: Positive = 1.2
    least_learn: Share = 0.6
    longest_turn_s: Positive = 8.0
