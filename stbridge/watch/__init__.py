"""`stbridge watch`: what the bridge publishes, for people at a terminal; it knows nothing but the broker's topics."""
