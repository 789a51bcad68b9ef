"""`python -m topology.cli`, for where the program is not on the path."""

from topology.cli import main

main()
