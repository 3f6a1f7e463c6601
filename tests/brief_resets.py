"""Start `stbridge run` so that it resumes a folder 10 s after an interrupted reset paused it."""

from stbridge.cli import main
from stbridge.commands import operations

if __name__ == "__main__":
    operations.RESET_PAUSE_S = 10.0
    main()
