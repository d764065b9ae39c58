"""The dashboard in headless Chromium: in dark and light, on phones and large screens."""
