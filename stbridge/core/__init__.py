"""The pure part: what Syncthing said becomes state, state becomes messages. No I/O, clock, threads or logging."""
