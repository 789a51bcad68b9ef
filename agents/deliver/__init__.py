"""deliver: Feedback -> DataForge."""
