"""The independent check of a chain-of-custody package, and the package's format.

What lives here: the container, the manifest, the rows that a package holds, and every check
that needs only the package and the certificates that its reader trusts. The relay writes
packages with the same format code. What may not: an import of the relay, a database, a
network, a secret.
"""
