"""Simulator: runs a whole fleet on a virtual clock, injects faults, and checks every promise.

The core is the one of production: the pod's program with recovery and pruning, and ``EventStore``.
Simulated are time, the store's statements and locks, the pods' processes and the user's functions.
"""
