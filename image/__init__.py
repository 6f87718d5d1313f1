"""The appliance's image and its update bundles: how they are made, from registries alone.

What lives here: the declaration of what a unit is made of (``image.toml``, ``boards/``,
``files/``) and the builder that turns it into a disk image, a signed bundle, an SBOM and a
list of contents. What may not: anything that runs on a unit but the files in ``files/``; the
product itself comes in as its wheel.
"""
