"""Start `stbridge run` so that it supervises its threads only once an hour."""

from stbridge import bridge
from stbridge.cli import main

if __name__ == "__main__":
    bridge.SUPERVISION_S = 3600.0
    bridge.SETTLING_S = (1.0, 4.0, 20.0)  # a busy machine may need more than six seconds
    main()
