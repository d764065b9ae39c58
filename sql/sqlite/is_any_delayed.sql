SELECT {{is_delayed}}
