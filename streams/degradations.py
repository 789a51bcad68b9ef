"""Names of what could not be had, where more than one stage speaks of it."""

TRANSCRIPT_DOUBTFUL = "transcript_doubtful"
NO_CONTEXT = "no_context"
