"""Networks that a claim is about before they exist: recipes that train them, kept by name and resumed after a kill."""
