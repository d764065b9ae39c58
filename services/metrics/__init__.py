"""What Prometheus reads: the metrics of a pod, and those of its fleet."""
