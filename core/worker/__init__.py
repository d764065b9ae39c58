"""What a pod does, from joining to leaving."""
