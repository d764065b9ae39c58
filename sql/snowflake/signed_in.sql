-- Who a session is and where; what it named but may not use is NULL here.
SELECT CURRENT_USER(), CURRENT_ACCOUNT(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(),
    CURRENT_SCHEMA()
