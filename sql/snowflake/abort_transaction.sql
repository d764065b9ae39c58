-- Only the user who began the transaction and account administrators are allowed to.
SELECT SYSTEM$ABORT_TRANSACTION({transaction})
