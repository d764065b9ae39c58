-- The change that has served a request; '' if none has.
SELECT COALESCE(MAX(change_id), '')
FROM {sync_requests}
WHERE incarnation = :incarnation AND number = :number
