"""A fast fake of Syncthing with any number of folders, devices, instances and events."""
