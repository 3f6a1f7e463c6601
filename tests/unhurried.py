"""`stbridge run` that looks at its parts once an hour, once it has settled."""

from stbridge import bridge
from stbridge.cli import main

if __name__ == "__main__":
    bridge.SUPERVISION_S = 3600.0
    main()
