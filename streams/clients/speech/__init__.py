"""Speech models and engines."""
