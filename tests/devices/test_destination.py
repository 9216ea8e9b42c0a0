import pytest

from ecc_deploy.devices.destination import parse_destination
from ecc_deploy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "login", "port"),
    [
        ("pi@raspberrypi.local", "pi@raspberrypi.local", None),
        ("pi@10.0.0.7:2022", "pi@10.0.0.7", 2022),
        ("my-board", "my-board", None),
        ("my-board:22", "my-board", 22),
        ("pi@[fe80::1%eth0]:2022", "pi@fe80::1%eth0", 2022),
        ("[fe80::1]", "fe80::1", None),
        ("fe80::1", "fe80::1", None),
    ],
)
def test_forms_that_ssh_takes(text: str, login: str, port: int | None) -> None:
    found = parse_destination(text)
    assert (found.login, found.port) == (login, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "pi@", "@host", "-oProxyCommand=id", "pi@-oProxyCommand=id", "a b", "pi@host:", "pi@host:0"),
        *(
            "pi@host:65536",
            "pi@host:x",
            "$(id)@host",
            "pi@ho;st",
            "pi@ho\nst",
            "pi@[::1",
            "pi@host/x",
            "-l@host",
            "ho`id`st",
        ),
    ],
)
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(UsageError, match="is no device"):
        parse_destination(text)
