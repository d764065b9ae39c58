"""What every store has to do, whatever it keeps its rows in."""
