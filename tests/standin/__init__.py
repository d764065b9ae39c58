"""A stand-in for Snowflake: fakesnow's database with Snowflake's manners, over HTTP.

``python -m tests.standin --port 0`` is the server, :class:`tests.standin.client.Standin` starts and
stops it for tests.
"""
