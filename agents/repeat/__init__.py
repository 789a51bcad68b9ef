"""repeat: Duplicate, Result -> Result. A request asked twice at once gets the answer of the first, from one model call."""
