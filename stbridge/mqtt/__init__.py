"""The adapter to the broker: the only package that imports paho.

outbox      last-value cache, send queue, and the table of messages in flight
session     one MQTT connection, from CONNECT to its end
connection  reconnects for as long as the bridge runs; what happens on each connect and on a stop
conflict    detects another client with our client ID
redelivery  de-duplicates QoS 1 redeliveries
retained    reads and clears retained messages
observer    a plain client for `watch` and the demo
probe       tries whether the bridge could connect
client      paho's client, configured from the settings
packets     what MQTT can carry; our messages to and from paho's
reasons     reason codes of MQTT 5, also those that paho does not know
protocol    MQTT 5 or 3.1.1
waiter      waits for a socket and for other threads
tls         the TLS context
diagnosis   error messages: what is wrong, which setting, how to fix it
"""
