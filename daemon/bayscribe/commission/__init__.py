"""Commissioning: from a unit on a bench to a unit on a wall that may go live.

What lives here: the steps as a pure state machine, the measurements behind them, the two
fronts (terminal and local web page), the signed report and its comparison with what is
measured later. What may not: judgements that the health checks already make, and anything
that changes how the daemon records.
"""
