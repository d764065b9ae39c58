-- Return a pod and its claims as they are, and change nothing. A query may not show yet what another
-- session has committed, an UPDATE changes what is there.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_id VARCHAR
)
{{procedure_options}}
AS
$$
BEGIN
    BEGIN TRANSACTION;
    {{lock_held}};
    {{lock_pod}};
    LET answer RESULTSET := ({{pod_and_claims}});
    ROLLBACK;
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
