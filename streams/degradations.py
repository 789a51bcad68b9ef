"""Names of what could not be had, where more than one stage speaks of it."""

NO_CONTEXT = "no_context"
