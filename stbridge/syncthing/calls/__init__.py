"""The methods of the client, a class for each part of Syncthing's REST API; `SyncthingClient` inherits all of them."""
