"""How a unit gets its identity at its first start.

What lives here: the unit's key, made on the unit and kept sealed by its TPM where it has one;
the request to the site's authority, for a one-time token, over a connection that is pinned to
that authority; and the configuration that follows from it. What may not: a key that came
from elsewhere, and the daemon's own work.
"""
