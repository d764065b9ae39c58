-- Insert the steps of a schedule, except those that exist: their times have fired.
{{insert_submitted}}
WHERE new.value:step_id::VARCHAR NOT IN (SELECT step_id FROM {step_tracker})
