"""The commands of `claims`, one module each (NAME, HELP, add_arguments, run); `arguments` and `console` are shared.

Torch is imported only in the commands that need it, and there only when they run.
"""
