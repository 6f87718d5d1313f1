"""The fleet: every bay at a glance.

What lives here: the subscriber to all units' MQTT topics, the model in memory of what they
say, the page and JSON made of it, signed commands to units, and the broker's configuration.
What may not: audio, transcripts, anything about a patient (none of it goes over MQTT), and
decisions that the units' own checks make.
"""
