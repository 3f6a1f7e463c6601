"""MQTT discovery for Home Assistant: pure, no I/O, no clock, no threads.

entity               one row of a table of entities
templates            the templates of a row, in Home Assistant's template language
instances, folders, devices, event_entities
                     the tables: the entities of an instance, a folder and a remote device, and the event entities
discovered           the Home Assistant devices that exist, derived from the State
discovery            the discovery message of one device
discovery_publisher  publishes, updates and clears discovery messages as the State changes
listed               the list of the discovery topics of an instance, which the next run reads back
ownership            finds the discovery messages on a broker that belong to this bridge
"""
