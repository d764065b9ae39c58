INSERT INTO schedule_events ({schedule_event_names})
VALUES ({schedule_event_values})
