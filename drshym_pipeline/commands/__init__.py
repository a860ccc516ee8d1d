"""The parts of the `drshym` command that are too long for one module: parse, call, print."""
