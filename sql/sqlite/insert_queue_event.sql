INSERT INTO queue_events ({queue_event_names})
VALUES ({queue_event_values})
