"""The probe of ``fleet-q doctor --probe``: settles on a real account what FLEET-Q assumes of
Snowflake, in tables of its own that it drops."""
