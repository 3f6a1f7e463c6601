"""`stbridge demo`: the whole job on one machine, with private servers; its Syncthing nodes serve the tests, too."""
