-- Only the user who began the transaction may, and account administrators.
SELECT SYSTEM$ABORT_TRANSACTION({transaction})
