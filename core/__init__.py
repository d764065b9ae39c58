"""The functional core of FLEET-Q: lifecycles, events, decisions and ports.

Code in this package reads no clock, draws no random number, opens no file and starts no thread; all
of that is passed in. Times that a store keeps (``*_ts``, ``at``) are integers, microseconds since
the Unix epoch; durations are seconds unless a name or docstring says otherwise.
"""
