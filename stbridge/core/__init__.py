"""The pure core: turns data from Syncthing into state, and state into messages. No I/O, clock, threads or logging."""
