"""Commands that arrive over MQTT: checked, executed once, answered once."""
