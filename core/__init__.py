"""The pure heart of FLEET-Q: lifecycles, events, decisions and ports.

Nothing here reads a clock, draws a number, opens a file or starts a thread; all of that is handed
in. Times that a store keeps are integers, microseconds since the Unix epoch (``*_ts``, ``at``);
durations are seconds.
"""
