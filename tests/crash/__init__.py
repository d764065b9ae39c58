"""The crash test: real pods are killed, stopped and cut off, then their store is checked.

``python -m tests.crash --rounds 300 --seed 1`` runs many rounds; pytest runs a few. What happens in
a round is drawn from its seed, but not its exact timing: a repeated round disturbs the fleet in the
same way and may end differently.
"""
