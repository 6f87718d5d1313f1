"""HL7 v2 as bytes and text: framing, delimiters, escapes, character sets, timestamps.

What lives here: what both the listening side (the EMR feed) and the sending side (the
gateway's documents) need to read a message. What may not: sockets, tables, or any knowledge
of what a segment means for a patient.
"""
