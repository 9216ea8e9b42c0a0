"""The command line: one file per verb, which parses, calls the Python API and renders what comes back.

Nothing here is imported at start-up but Typer and these files: every verb imports what it needs when it runs.
"""
