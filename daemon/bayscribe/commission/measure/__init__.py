"""Measurements of commissioning: blocks in, an outcome out.

What lives here: pure stages driven by sample index, one file a measurement. What may not:
clocks, files, networks, fronts.
"""
