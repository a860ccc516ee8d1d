"""Experiments that take hours or need real data: sweep, leave-one-out, seeds, card, simulator statistics."""
