"""From microphones to blocks of samples on one clock.

What lives here: array profiles, the ALSA capture thread, recordings read as if they
were captured, the check that every channel is the microphone it should be, and the
recorded microphone (an ALSA plug-in fed by ``bayscribe replay``) on which all of that
is tested. What may not: anything that changes the sound, or knows what a talker is.
"""
