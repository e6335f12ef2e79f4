"""FSRT's idea with weights of our own: a face, seen once, performs any motion of models.motions."""
