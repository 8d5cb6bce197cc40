"""Root of the test run: the plugin comes from the installed package, so there is nothing to set up here."""
