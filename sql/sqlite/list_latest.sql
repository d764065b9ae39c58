-- Steps that a filter selects among the :most latest before :before, the latest first.
SELECT
    latest.place, {summary_columns with error = substr(step.error, 1, 500)}
FROM (
    SELECT rowid AS place FROM step_tracker WHERE rowid < :before ORDER BY rowid DESC LIMIT :most
) AS latest
JOIN step_tracker AS step ON step.rowid = latest.place
WHERE {{is_selected}}
ORDER BY latest.place DESC
LIMIT :limit
