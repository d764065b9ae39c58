"""Implementations of the core's ports: the stores, and the leader's recovery queue. The rules are
in ``core``."""
