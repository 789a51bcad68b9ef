"""publish: Evaluation -> Result, the one terminal record of a request, and Feedback for whoever made the context."""
