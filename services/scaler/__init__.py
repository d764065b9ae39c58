"""How many pods a fleet needs, for autoscalers and monitoring."""
