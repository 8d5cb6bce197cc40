"""The claims about the class in single tokens, together: one forward pass, and no more memory for more pictures."""

RESIDUAL = (
    "image-tokens-class-identifiable-final",
    "almost-every-image-has-an-identifiable-token",
    "random-init-tokens-at-chance",
    "cls-identifiability-rises",
    "image-token-identifiability-rises",
    "cls-leads-image-tokens",
    "each-block-raises-correct-class-logit-of-most-image-tokens",
    "identifiability-rises-before-accuracy",
    "lens-curves-agree-across-labs",
)
