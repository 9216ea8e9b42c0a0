"""What an emulated link is to those who use it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from ecc_deploy.closing import Closing
from ecc_deploy.links.check import LinkCheck
from ecc_deploy.links.counts import WireBytes
from ecc_deploy.links.profile import LinkProfile

Method = Literal["netem", "tun", "proxy"]


class Link(Closing):
    """An emulated link from here, the near end, to a far end. A context manager; several may be open at once.

    It is gone when it is closed, and when this process goes away, however that happens. What was started with
    :attr:`far` is the starter's to end. Every method raises :class:`~ecc_deploy.errors.LinkError` where the emulation
    has stopped. Methods may be called from several threads.
    """

    method: Method
    profile: LinkProfile
    note: str
    """How it is emulated, and what that leaves out; for results."""
    far: list[str]
    """Put in front of a command, it runs it at the far end. Empty: any program on this machine is at the far end."""
    far_host: str
    """The address on which a program at the far end has to listen."""
    check: LinkCheck | None = None
    """What the self-check measured; ``None`` where it was switched off."""

    @abstractmethod
    def url(self, port: int) -> str:
        """``host:port`` at which a client here reaches, through the link, what listens on ``port`` at the far end."""

    @abstractmethod
    def counts(self) -> WireBytes | None:
        """IP bytes since it was opened: what left the near end, what reached it. ``None``: this method cannot tell."""

    @abstractmethod
    def change(self, profile: LinkProfile) -> None:
        """Be another link from now on. It is not checked again."""

    @abstractmethod
    def cut(self) -> None:
        """Let nothing pass, without a word to either end."""

    @abstractmethod
    def restore(self) -> None:
        """Undo :meth:`cut`."""
