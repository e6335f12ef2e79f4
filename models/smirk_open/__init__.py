"""SMIRK's idea with weights of our own: one look at a face gives the open head's pose, identity and expression."""
