"""Fingerprints of code: what changed code may have changed is measured anew, and nothing else."""

from harness.fingerprint.code import CODE as CODE
from harness.fingerprint.code import Code as Code
from harness.fingerprint.roots import constant_of as constant_of
from harness.fingerprint.roots import fingerprint as fingerprint
from harness.fingerprint.roots import fingerprint_outside as fingerprint_outside
from harness.fingerprint.roots import roots_in as roots_in
from harness.fingerprint.statements import LENGTH as LENGTH
from harness.fingerprint.statements import Root as Root
from harness.fingerprint.statements import short_hash as short_hash
from harness.fingerprint.text import Reference as Reference
