"""The door to the broker: the only package that imports paho.

outbox      what the broker is to have: last values, replies and events
backlog     messages that wait, and no more than there may be
sender      from the outbox to a link
link        one connection, from CONNECT to its end
waiter      waits for a socket and for other threads
client      paho's client, set up as the settings say
packets     what MQTT can carry
protocol    MQTT 5 or 3.1.1
contest     who else uses our client ID
connection  link after link for as long as the bridge runs
retained    reads what the broker keeps
probe       tries whether the bridge could connect
tls         the TLS context
diagnosis   what went wrong, which setting, and the cure
"""
