"""A whole fleet in one process on a virtual clock, put through bad days and checked all the while.

The core is the one that production runs: the pod's program with its recovery and pruning, and
``EventStore``.
Simulated are time, the store's statements and locks, the pods' processes and the user's functions.
"""
