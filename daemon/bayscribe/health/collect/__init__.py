"""Collectors: each fills one part of a snapshot from the system, and judges nothing.

What lives here: reading of procfs, sysfs, statvfs, adjtimex, mixers, certificates and
digests, one file each; paths are arguments so that a test brings a tree of its own. What
may not: limits, words, threads.
"""
