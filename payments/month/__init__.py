"""Do the books of a whole month tie out? Days of trade at simulated gateways, settled, imported, matched and closed.

The gateways are the simulator's own, called in this process under a clock that jumps; payments are written in bulk, as
their recording would have left them. Files, matching and closing are those of every day.
"""
