"""The web page of `stbridge web`: every instance on the broker, fed by the broker's topics only."""
