"""What do the gateways look like from outside? Several pretend ones in one process, each with its port and its book.

A process of its own that shares no code and no database with the platform: what its book says is what the other side
of the wire believes, however the platform is broken. Started by `python -m gateways.simulator --config PATH`.
"""
