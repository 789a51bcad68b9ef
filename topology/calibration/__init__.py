"""`forgestream calibrate`: the same answers, judged by several judges, and how far these agree."""
