"""Updates of the whole unit: two slots, of which one runs and the other is written.

What lives here: the boot loader's state and who may change it, checking and installing a
signed bundle with rauc(1), fetching one from the relay, and the job checks that alone make a
new system good. What may not: anything that runs in the daemon's own process but leaving a
request, and a decision that depends on the network being there.
"""
