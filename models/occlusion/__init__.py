"""Occlusion, after Latent-OFER: find what hides a face, guess what is behind it, and read the expression of both.

Mien's own networks in the place of those that Lee, Lee and Yoo (ICCV 2023) never released; see docs/latent_ofer.md.
"""
