"""`stbridge run` that resumes after 10 s what a reset has paused and not resumed."""

from stbridge.cli import main
from stbridge.commands import operations

if __name__ == "__main__":
    operations.RESET_PAUSE_S = 10.0
    main()
