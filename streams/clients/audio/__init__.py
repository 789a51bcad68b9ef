"""Audio files, in memory."""
