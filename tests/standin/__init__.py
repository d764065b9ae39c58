"""A stand-in for Snowflake: fakesnow with Snowflake's locks and transactions, over HTTP.

``python -m tests.standin --port 0`` is the server, :class:`tests.standin.client.Standin` starts and
stops it for tests.
"""
