"""MQTT discovery for Home Assistant: pure, no I/O, no clock, no threads.

entity               one row of a table of entities
templates            the templates of a row, in Home Assistant's language
instances, folders, devices, event_entities
                     the tables: the entities of an instance, a folder, a remote device, and those of events
discovered           which Home Assistant devices exist, taken from the State
discovery            the discovery message of one device
discovery_publisher  which messages are sent, changed and cleared as the State changes
ownership            which discovery messages on a broker belong to this bridge
"""
