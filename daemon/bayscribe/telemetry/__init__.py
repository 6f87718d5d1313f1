"""What a unit tells its fleet over MQTT, and what the fleet may ask of it.

What lives here: messages made from the health report, the bounded queue for the time that
the broker is away, signed commands and what they do, and the thread that talks to the
broker. What may not: audio, voices, labels of people, anything about a patient; waiting
for the broker by anything else of the unit.
"""
