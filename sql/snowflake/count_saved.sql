-- How many steps have the checkpoint that was to be saved.
SELECT :changed AS saved
