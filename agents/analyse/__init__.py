"""analyse: Request -> Analysis, beside the way to the answer."""
