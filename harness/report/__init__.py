"""What a reader gets of records: text, tables and pages. No model and no store is read here."""
