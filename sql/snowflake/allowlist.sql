-- The hosts that clients of this account have to reach, as JSON.
SELECT SYSTEM$ALLOWLIST()
