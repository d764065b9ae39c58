-- Steps that a filter may have selected at a moment, among the rows :places, the latest first.
SELECT
    step.rowid, {summary_columns with error = substr(step.error, 1, 500)}
FROM json_each(:places) AS place
JOIN step_tracker AS step ON step.rowid = place.value
WHERE step.rowid < :before
    AND {{was_perhaps_selected}}
ORDER BY step.rowid DESC
LIMIT :limit
