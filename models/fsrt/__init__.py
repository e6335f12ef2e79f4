"""Reenactment after FSRT (Rochow, Schwarz and Behnke, CVPR 2024): a set latent of the source, asked pixel by pixel.

The authors state no licence for their code or weights, so everything here is written from the description of the
method, and their checkpoints are files that users bring themselves.
"""
