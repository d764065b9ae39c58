INSERT INTO step_events ({step_event_names})
VALUES ({step_event_values})
