"""Training of a network and making a bundle of it: recipe, loop, losses, checkpoint, bundle. Callers add loggers."""
