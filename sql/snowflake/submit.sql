-- Insert the steps of the submissions that are accepted.
{{insert_submitted}}
JOIN {{accepted_submissions}} AS accepted
    ON accepted.submission_id = new.value:submission_id::VARCHAR
