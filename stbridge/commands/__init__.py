"""Commands that arrive over MQTT: each is checked, executed once and answered once."""
