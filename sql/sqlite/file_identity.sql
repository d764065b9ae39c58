-- The application id and schema version in the file's header, and the number of tables, indexes
-- etc.
SELECT (SELECT application_id FROM pragma_application_id),
       (SELECT user_version FROM pragma_user_version),
       (SELECT count(*) FROM sqlite_master)
