"""The commands of `drshym`, and the parts that they share."""
