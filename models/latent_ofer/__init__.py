"""Occlusion after Latent-OFER (Lee, Lee, Yoo, ICCV 2023): find what hides a face, fill it in, read the expression."""
