"""Tests of what is said about moments of the past."""
