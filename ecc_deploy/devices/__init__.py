"""Benchmarks on devices that are reached over ssh.

Here (the side that gives the command): `destination`, `ssh`, `ssh_errors`, `probe`, `session`, `cloud_side`, `bench`,
`installing`. There (on the device): `agent`, `lifeline`, `store`, `requirements`. Both speak `frames`.
"""
