-- This number changes after every commit by another connection.
PRAGMA data_version
