"""A fast fake of Syncthing: any number of folders, devices and instances, and as many events as one likes."""
