"""The store that the project is for: one Snowflake schema, shared by pods that share nothing else.

Needs the extra ``fleet-q[snowflake]``.
"""
