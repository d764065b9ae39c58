INSERT OR REPLACE INTO schedules ({schedule_names})
VALUES ({schedule_values})
