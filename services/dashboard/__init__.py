"""The dashboard: pages that show a fleet in a browser, now and as it was."""
