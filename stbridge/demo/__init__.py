"""`stbridge demo`: runs the bridge with a private broker and Syncthing nodes; the tests use the nodes, too."""
