"""Local folders of Hugging Face models, read into timm's modules of the same architecture: `hf:FOLDER`.

The transformers library is not needed: config.json, model.safetensors and preprocessor_config.json say everything.
"""

from harness.models.hugging_face.folder import PREFIX, HubModel, read_model

__all__ = ["PREFIX", "HubModel", "read_model"]
