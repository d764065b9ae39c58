-- Append the event of one step, quicker than reading it from its row.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    {submitted_names}
)
VALUES (
    :step_id, 1, 'submitted', :created_ts, :pod_id,
    {submitted_values}
)
