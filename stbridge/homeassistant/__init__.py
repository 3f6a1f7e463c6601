"""What Home Assistant is told by MQTT discovery: pure, no I/O, no clock, no threads.

entity      one row of a table of entities
templates   the templates of a row, in Home Assistant's language
instances, folders, devices
            the tables: the entities of a Syncthing, of a folder, of a remote device
subjects    what becomes a device of Home Assistant, taken from the State
discovery   the discovery message of one of them
announcer   which messages are to be sent, changed and cleared as the State changes
ownership   which discovery messages on a broker are this bridge's
"""
