-- The ids of the submissions that are accepted, as a JSON list.
SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
FROM {{accepted_submissions}} AS accepted
