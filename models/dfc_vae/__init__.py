"""DFC-VAE: a face as a short latent vector, trained so that its features, not its pixels, come back.

Hou, Shen, Sun and Qiu, "Deep Feature Consistent Variational Autoencoder", WACV 2017 (arXiv 1610.00291).
"""
