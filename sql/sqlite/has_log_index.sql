SELECT 1 FROM pragma_index_list('step_events') WHERE name = 'step_events_time'
