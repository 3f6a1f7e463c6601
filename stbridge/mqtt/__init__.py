"""The adapter to the broker: the only package that imports paho.

outbox      last-value cache, send queue, and the table of messages in flight
session     one MQTT connection, from CONNECT until it is closed
connection  reconnects while the bridge runs; the steps on each connect and on a stop
conflict    detects another client with our client ID
quarantine  finds the messages that make the broker close the connection
redelivery  de-duplicates QoS 1 redeliveries
retained    reads and clears retained messages
observer    a plain client for `watch` and the demo
probe       checks whether the bridge can use the broker
client      paho's client, configured from the settings
packets     limits of MQTT; converts our messages to paho's and back
reasons     reason codes of MQTT 5, including those that paho does not know
protocol    chooses MQTT 5 or 3.1.1
waiter      waits for a socket or for other threads
tls         the TLS context
diagnosis   error messages: what is wrong, which setting, how to fix it
"""
