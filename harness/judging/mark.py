"""The mark of a claim: the attribute of a function under which `claim` keeps the id of its ledger entry."""

MARK = "__claim__"
