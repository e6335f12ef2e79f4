"""DFC-VAE: a face as a short latent vector, trained so that its features, not its pixels, come back.

Hou, Shen, Sun and Qiu, "Deep Feature Consistent Variational Autoencoder", WACV 2017 (arXiv 1610.00291).
"""

from models.dfc_vae.latent import Latent
from models.dfc_vae.network import DfcVae
from models.dfc_vae.official import AntixkVae, AuthorsVae128, PaperVae64

__all__ = ["AntixkVae", "AuthorsVae128", "DfcVae", "Latent", "PaperVae64"]
