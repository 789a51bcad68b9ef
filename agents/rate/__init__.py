"""rate: Rating -> Feedback. What a person thinks of an answer, joined to the answer."""
