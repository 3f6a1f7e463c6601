"""`stbridge watch`: shows on a terminal what the bridge publishes; it uses only the topics on the broker."""
