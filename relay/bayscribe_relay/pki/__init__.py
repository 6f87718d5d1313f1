"""Certificates and keys: making them for a site without a PKI of its own, and the TLS rules.

What lives here: the small authority behind ``bayscribe-relay pki``, revocation, and the
TLS context that every listener of the relay uses. What may not: sockets, the store.
A site with its own PKI needs only :mod:`~bayscribe_relay.pki.tls` and certificates that
follow ``docs/device-protocol.md``.
"""
