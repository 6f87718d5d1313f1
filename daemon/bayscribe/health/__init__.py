"""What a unit knows of its own health, and in which words it says so.

What lives here: the snapshot (plain figures, no opinion), the checks (one small file a
rule, all with the same members), the hysteresis between what a check sees and what is
said, the collectors that fill a snapshot from the system, and the thread that joins them
in the daemon. ``bayscribe check``, the MQTT topics, commissioning and "mark this update
good" all read the same report. What may not: signal processing beyond levels, anything
about a patient or a label of a person, and decisions about recording.
"""
