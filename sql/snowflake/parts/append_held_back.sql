-- Append the events that were left out because steps wait.
{{append_ended_events}};
more := SQLROWCOUNT;
appended := (SELECT :appended + :more)
