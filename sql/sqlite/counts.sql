-- The steps that are completed are all the others: counting those would read the whole table.
SELECT
    (SELECT count(*) FROM step_tracker WHERE status = 'pending' AND due = 1)
        + (SELECT count(*) FROM step_tracker WHERE status = 'pending' AND due = 0) AS pending,
    (SELECT count(*) FROM step_tracker WHERE status = 'claimed') AS claimed,
    (SELECT count(*) FROM step_tracker WHERE status = 'failed') AS failed,
    (SELECT count(*) FROM step_tracker WHERE status = 'cancelled') AS cancelled,
    (SELECT count(*) FROM step_tracker) AS total
