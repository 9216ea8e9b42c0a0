"""Sweeps: one recipe trained at many settings, by any number of processes, and what each setting is worth.

``recipe`` and ``paths`` say which settings there are, ``study`` shares them among processes through Optuna, ``trial``
trains and evaluates one, ``result`` is what all of them found, ``pick`` takes a point from it by constraint.
"""
