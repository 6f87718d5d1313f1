"""Thresholds of the speaker stage."""

from typing import Annotated

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]


class DiarizeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the speaker stage assumes. Log-likelihood ratios are per frame of 100 ms.

    The weights of the speech fusion, which decides where no network hears the array, are
    those of a logistic regression over simulated bays at 60 and 70 dB SPL (AUC 0.75 to 0.94
    a scene, 0.82 on average).

    Attributes:
        near_bias: added to the log-odds of near speech: missed speech costs attribution.
        speech_bias: of the logistic fusion that says speech against pause.
        speech_level: its weight per dB of the beam above its own floor.
        speech_vad: its weight of the network's log-odds.
        speech_track: its weight of the tracks' log-odds.
        speech_gain: share of the fusion that a frame counts: neighbours say the same.
        voice_gain: log-likelihood ratio per unit of cosine.
        place_gain: share of the places' log-likelihood ratio that is believed.
        switch: log-chance that another person goes on at a frame.
        stop: log-chance that speech ends at a frame.
        start: log-chance that speech begins at a frame, shared by all persons.
        anchor_weight: windows that a frozen anchor counts as.
        widest_drift_deg: angle between an anchor and its adapted voice, at most.
        window_gain: log-likelihood ratio per unit of cosine, per window.
        window_stay: chance that a window's talker is the one of the window before.
        window_places: share of the places' log-likelihood ratio believed, per window.
        memory_windows: newest windows that are clustered anew; older ones are summed up.
        recluster_s: speech between two clusterings.
        clusters: clusters that voices are sought in, at most.
        windows_per_cluster: windows from which one cluster more is sought.
        cluster_places: how much the place of a window counts beside its voice, in seeking them.
        merge_cosine: two voices closer than this are one person.
        known_cosine: an unknown voice closer than this to an anchor is that person.
        least_windows: a person has at least as many windows.
        least_speech: chance of speech from which a window says something of a voice.
        most_unknown: persons beside the known ones, at most.
        longest_turn_s: a longer turn is emitted in pieces.
        revise_s: labels are never rewritten further back.
        revise_share: of a turn that is somebody else's before its label is rewritten.
    """

    near_bias: float = 1.0
    speech_bias: float = 0.07
    speech_level: float = 0.54
    speech_vad: float = 0.06
    speech_track: float = 0.05
    speech_gain: Positive = 0.4
    voice_gain: Positive = 2.0
    place_gain: Share = 0.25
    switch: float = -4.0
    stop: float = -2.0
    start: float = -2.0
    anchor_weight: Positive = 8.0
    widest_drift_deg: Positive = 75.0
    window_gain: Positive = 8.0
    window_stay: Share = 0.9
    window_places: Share = 1.0
    memory_windows: Count = 400
    recluster_s: Positive = 0.5
    clusters: Count = 4
    windows_per_cluster: Count = 25
    cluster_places: Share = 1.0
    merge_cosine: Share = 0.6
    known_cosine: Share = 0.05
    least_windows: Positive = 10.0
    least_speech: Share = 0.3
    most_unknown: Annotated[int, Meta(ge=1, le=16)] = 6
    longest_turn_s: Positive = 1.0
    revise_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 9.4
    revise_share: Share = 0.6
