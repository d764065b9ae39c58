-- Steps that a filter may have selected at a moment, among the :most latest rows, the latest first.
SELECT
    latest.place, {summary_columns with error = substr(step.error, 1, 500)}
FROM (
    SELECT rowid AS place FROM step_tracker WHERE rowid < :before ORDER BY rowid DESC LIMIT :most
) AS latest
JOIN step_tracker AS step ON step.rowid = latest.place
WHERE {{was_perhaps_selected}}
ORDER BY latest.place DESC
LIMIT :limit
