"""Links as data, and their emulation on one machine, which checks itself before it is used. Linux only.

with open_link(load_link("lte")) as link:
    subprocess.Popen([*link.far, "my-server", "--host", link.far_host, "--port", "8001"])
    connect(link.url(8001))  # goes through the link
"""

from ecc_deploy.links.check import LinkCheck
from ecc_deploy.links.counts import WireBytes
from ecc_deploy.links.link import Link, Method
from ecc_deploy.links.opening import open_link
from ecc_deploy.links.profile import LinkProfile, list_links, load_link

__all__ = ["Link", "LinkCheck", "LinkProfile", "Method", "WireBytes", "list_links", "load_link", "open_link"]
