-- What all procedures have in common. The comment tells whether one is outdated.
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
