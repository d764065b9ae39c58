-- Another number after every commit of another connection, as seen by this one.
PRAGMA data_version
