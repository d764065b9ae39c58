"""Stores behind the core's ports, and the leader's local table. Nothing here decides."""
