"""Training a network and sealing it: recipe, loop, losses, checkpoint, bundle. Loggers come from outside."""
