"""A store in one Snowflake schema, for pods that share nothing else.

Requires the extra ``fleet-q[snowflake]``.
"""
