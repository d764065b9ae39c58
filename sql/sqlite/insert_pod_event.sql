INSERT INTO pod_events ({pod_event_names})
VALUES ({pod_event_values})
