-- The session's user and context. What was configured but does not exist or may not be used is
-- NULL.
SELECT CURRENT_USER(), CURRENT_ACCOUNT(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(),
    CURRENT_SCHEMA()
