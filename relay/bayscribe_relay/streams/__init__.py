"""What has arrived: verification of stored streams and their contents, read from the store.

What lives here: the second, independent walk along each chain (ingest did the first),
lists, turns, and the export of one encounter. What may not: anything that writes to the
store, output formats of commands.
"""
