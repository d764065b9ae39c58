-- End the transaction of a procedure, which must not outlive it, and report the error.
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
