"""Experiments and comparisons that take hours or real data: sweep, leave-one-out, seeds, card, simulator statistics."""
