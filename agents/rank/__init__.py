"""rank: Verdict, Command -> Ranking. The only writer of the table of champions."""
