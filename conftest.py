"""Root of the test run: the plugin comes from the installed package, and its short names are wanted here."""

pytest_plugins = ["harness.short_names"]  # --model beside --claims-model
