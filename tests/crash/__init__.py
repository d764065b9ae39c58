"""Real pods killed, stopped, cut off and starved, and what is left on disk read afterwards.

``python -m tests.crash --rounds 300 --seed 1`` runs for long; pytest runs a few rounds. What
happens in a round is drawn from its seed; when exactly it strikes is the machine's affair, so a
replay does the same things to the fleet and need not end the same way.
"""
