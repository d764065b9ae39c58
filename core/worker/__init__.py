"""A pod's behaviour, from joining to leaving."""
