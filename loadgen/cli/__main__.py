"""`python -m loadgen.cli`: churn, as its lanes start it."""

from loadgen.cli import main

main(prog_name="churn")
