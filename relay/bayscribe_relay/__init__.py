"""Bayscribe, the relay: the hospital's central receiver of the appliances' streams.

What lives here: everything that happens to a stream once it has left the bay. Of the
appliance's code it imports :mod:`bayscribe.wire`, the errors and the typed settings,
and nothing else.
"""
