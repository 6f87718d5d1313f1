"""Taking in the appliances' streams: ``bayscribe.device.v1``, the relay's side.

What lives here: the verification of one device's stream (pure), the group commit that
makes records durable, and the asyncio shell that holds the connections. What may not:
SQL (that is the store's), certificates' making, anything about notes or the EMR.
"""
