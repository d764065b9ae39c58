"""A whole fleet in one process on a virtual clock, put through bad days and checked all the while.

The core is the one that production runs: ``PodMachine``, ``recovery_cycle``, ``EventStore``.
Simulated are time, the store's statements and locks, the pods' processes and the user's functions.
"""
