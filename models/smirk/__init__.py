"""SMIRK (Retsinas et al., CVPR 2024): one photo to a FLAME head with pose, identity and expression.

Written from a description of the network, so that no code of the authors is needed; the weights and the FLAME model
are the user's own (see models.brought).
"""
