"""evaluate: Answer -> Evaluation with five scores, and a Verdict for the champions of its cell."""
