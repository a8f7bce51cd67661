"""Does a webhook reach a merchant, and nobody else on any network of ours?"""

import datetime
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import transaction

from checkout.settings import policy
from merchants import sender
from merchants.errors import WebhookUrlRefused
from merchants.sender import Answer, Message, Sender
from merchants.tests.loop import discard_loop
from merchants.tests.receiver import Receiver, Reply

Open = Callable[..., Receiver]

NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.10", "192.0.2.1"),
    *("192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::"),
    *("2002:808:808::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1"),
    *("ff02::1", "not an address", ""),
]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A name server of our own: from name to a list of addresses, or to a function that is asked each time."""
    table: dict[str, Any] = {}

    def look_up(host: str, port: Any, **options: Any) -> list[Any]:
        found = table.get(host)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        addresses = found() if callable(found) else found
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, 0)) for each in addresses]

    monkeypatch.setattr("merchants.sender.socket.getaddrinfo", look_up)
    return table


def post(url: str, *, may_be_loopback: bool = True, body: bytes = b"{}", seconds: float = 20.0) -> Answer:
    """Send one message and wait for what comes of it."""
    sending = Sender()
    sending.send(Message("endpoint", url, {"webhook-id": "evt_1"}, body, may_be_loopback))
    (answer,) = sending.take(seconds)
    assert not sending.is_busy
    return answer


# --- Which addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_out_on_the_internet_is_not_public(address: str) -> None:
    assert not sender.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111"])
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert sender.is_public(address)


def test_this_machine_is_welcome_only_where_that_is_said_and_then_no_other_private_address() -> None:
    assert sender.is_public("127.0.0.1", may_be_loopback=True)
    assert sender.is_public("::1", may_be_loopback=True)
    assert [each for each in NOT_PUBLIC if sender.is_public(each, may_be_loopback=True)] == [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "https:example.com",
        "https:///hook",
        "http://example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://@example.com/",
        "https://example.com/#",
        "https://example.com/#here",
        "https://example.com:0/",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:1023/",
        "https://example.com:65536/",
        "https://example.com:443:443/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://example.com/\x00",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\u202e",
        "https://example..com/",
        "https://-example.com/",
        "https://" + "a" * 64 + ".com/",
        "https://example.com/" + "a" * 2048,
        "https://localhost/",
        "https://hook.localhost/",
        "https://intranet/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://%31%32%37.0.0.1/",
        *(f"https://{address}/" for address in NOT_PUBLIC if address.count(".") == 3 and ":" not in address),
        *(f"https://[{address}]/" for address in NOT_PUBLIC if ":" in address),
    ],
)
def test_a_url_we_would_not_call_is_refused(url: str, names: dict[str, Any]) -> None:
    names["example.com"] = ["93.184.216.34"]

    with pytest.raises(WebhookUrlRefused) as refusal:
        sender.check_url(url)

    assert refusal.value.param == "url"
    assert post(url, may_be_loopback=False).error == "the URL does not lead to a public address"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=a@b",
        "https://EXAMPLE.com:8443/",
        "https://hooks.b\u00fccher.example/\u00fc",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]:8443/hook",
        "https://not-to-be-found.example/",
    ],
)
def test_a_public_https_url_is_fine_even_if_its_name_is_not_found_just_now(url: str, names: dict[str, Any]) -> None:
    names["example.com"] = ["93.184.216.34", "2606:4700::1111"]
    for address in ("8.8.8.8", "2606:4700::1111"):
        names[address] = [address]

    sender.check_url(url)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["93.184.216.34", "::1"]])
def test_a_name_is_refused_if_any_of_its_addresses_is_private(names: dict[str, Any], addresses: list[str]) -> None:
    names["example.com"] = addresses

    with pytest.raises(WebhookUrlRefused):
        sender.check_url("https://example.com/")
    assert post("https://example.com/", may_be_loopback=False).error == "the URL does not lead to a public address"


def test_a_name_that_turns_private_after_the_check_is_not_called(names: dict[str, Any], receiver: Open) -> None:
    there = receiver()
    names["example.com"] = ["93.184.216.34"]
    sender.check_url(f"https://example.com:{there.port}/")

    names["example.com"] = ["127.0.0.1"]
    answer = post(f"https://example.com:{there.port}/", may_be_loopback=False)

    assert answer.error == "the URL does not lead to a public address"
    assert there.received == []


def test_a_name_server_that_never_answers_does_not_hold_up_whoever_names_the_address(names: dict[str, Any]) -> None:
    silence = threading.Event()
    names["slow.example.com"] = lambda: silence.wait(10) or ["93.184.216.34"]
    began = time.monotonic()

    sender.check_url("https://slow.example.com/")

    silence.set()
    assert 1.5 < time.monotonic() - began < 4


# --- How it is called ---------------------------------------------------------------------------------------------


def test_the_connection_goes_to_the_address_that_was_checked_though_the_name_moves(
    names: dict[str, Any], receiver: Open
) -> None:
    checked, other = receiver("127.0.0.1"), receiver("127.0.0.2")
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    names["localhost"] = lambda: answers.pop(0)

    answer = post(f"http://localhost:{checked.port}/hook")

    assert answer.error == ""
    assert [request.headers["host"] for request in checked.received] == [f"localhost:{checked.port}"]
    assert (other.received, answers) == ([], [["127.0.0.2"]])


@pytest.mark.parametrize("http_status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Open, http_status: int) -> None:
    first, second = receiver(), receiver()
    first.otherwise = Reply(http_status, {"Location": second.url})

    answer = post(first.url)

    assert (answer.http_status, answer.error) == (http_status, f"answered {http_status}; redirects are not followed")
    assert len(first.received) == 1
    assert second.received == []


def test_proxies_and_netrc_of_the_environment_are_ignored_and_no_cookie_is_sent_back(
    receiver: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there, proxy = receiver(), receiver()
    there.otherwise = Reply(200, {"Set-Cookie": "a=b; Path=/"})
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ana password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

    post(there.url)
    post(there.url)

    assert proxy.received == []
    assert [request.headers.keys() & {"cookie", "authorization", "accept-encoding"} for request in there.received] == [
        set(),
        set(),
    ]


def test_an_answer_of_ten_megabytes_is_cut_off_and_its_status_counts(receiver: Open) -> None:
    there = receiver()
    there.otherwise = Reply(200, body=b"x" * 10_000_000)

    answer = post(there.url)

    assert (answer.http_status, answer.error) == (200, "")
    time.sleep(0.2)
    assert there.written_bytes < 6_000_000  # what fits into the buffers of two sockets is not all of it


def test_a_compressed_answer_is_not_unpacked(receiver: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    there = receiver()
    there.otherwise = Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1_000_000))
    read: list[bytes] = []

    async def read_it_all(response: Any) -> None:
        read.append(await response.read())

    monkeypatch.setattr(sender, "_read_a_little", read_it_all)

    assert post(there.url).error == ""
    assert read == [there.otherwise.body]


def test_an_endpoint_that_never_answers_is_given_up_in_time(receiver: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    there = receiver()
    there.otherwise = Reply(delay_seconds=3)
    monkeypatch.setattr(policy, "WEBHOOK_TIMEOUT_SECONDS", 0.5)

    answer = post(there.url)

    assert (answer.http_status, answer.error) == (None, "no answer within 0 seconds")
    assert 400 < answer.duration_ms < 1500


def test_the_status_counts_though_the_rest_of_the_answer_never_comes(
    receiver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "WEBHOOK_TIMEOUT_SECONDS", 0.5)
    with _one_answer(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
        assert post(url).error == ""
    with _one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") as url:
        answer = post(url)
        assert (answer.http_status, answer.error) == (200, "")


def test_failures_are_told_in_our_own_words(names: dict[str, Any]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    names["localhost"] = ["127.0.0.1"]

    assert post(f"http://127.0.0.1:{port}/?token=hidden").error == "no connection"
    assert post("https://nowhere.example.com/?token=hidden").error == "the name of the host was not found"
    with _one_answer(b"") as url:
        assert post(url).error == "the connection broke before an answer"
    with _one_answer(b"nonsense\r\n\r\n") as url:
        assert post(url).error == "the connection broke before an answer"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("0", 0), ("-5", 0), ("1e3", 0), ("soon", 0), ("\u0661", 0), ("9" * 30, 86_400), ("", 0)],
)
def test_retry_after_is_understood_in_seconds_and_nonsense_is_ignored(header: str, seconds: float) -> None:
    assert sender._seconds(header) == seconds


def test_retry_after_is_understood_as_a_date() -> None:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)

    assert 80 < sender._seconds(moment.strftime("%a, %d %b %Y %H:%M:%S GMT")) <= 90
    assert sender._seconds("Fri, 31 Dec 1999 23:59:59 GMT") == 0


def test_nothing_is_sent_while_a_transaction_is_open(receiver: Open, db: None) -> None:
    there = receiver()

    with pytest.raises(RuntimeError, match="Commit before"), transaction.atomic():
        post(there.url)

    assert there.received == []


def test_the_repr_of_a_message_tells_neither_url_nor_signature_nor_body() -> None:
    message = Message("endpoint", "https://x.example/?token=hidden", {"webhook-signature": "hidden"}, b"hidden")

    assert "hidden" not in repr(message)
    assert "hidden" not in repr(Answer(message, 1))


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """A server's context with a certificate for a name, by an authority that we trust for this test."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: str, extension: x509.ExtensionType, public_key: Any) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(key, hashes.SHA256())
        )

    authority = certificate("authority", x509.BasicConstraints(ca=True, path_length=None), key.public_key())
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    discard_loop()

    def context(name: str) -> ssl.SSLContext:
        own = ec.generate_private_key(ec.SECP256R1())
        leaf = certificate(name, x509.SubjectAlternativeName([x509.DNSName(name)]), own.public_key())
        pem = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = tmp_path / f"{name}.pem"
        path.write_bytes(pem + leaf.public_bytes(serialization.Encoding.PEM))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(path)
        return tls

    return context


def test_tls_asks_for_the_name_and_not_for_the_address_that_was_checked(
    names: dict[str, Any], certified: Callable[[str], ssl.SSLContext], receiver: Open
) -> None:
    asked: list[str | None] = []
    tls = certified("hooks.example.com")
    tls.sni_callback = lambda _, name, __: asked.append(name)
    there = receiver(tls=tls)
    names["hooks.example.com"] = ["127.0.0.1"]

    answer = post(f"https://hooks.example.com:{there.port}/hook")

    assert answer.error == ""
    assert asked == ["hooks.example.com"]
    assert there.received[0].headers["host"] == f"hooks.example.com:{there.port}"


def test_a_certificate_for_another_name_is_not_accepted_and_nothing_is_told(
    names: dict[str, Any], certified: Callable[[str], ssl.SSLContext], receiver: Open
) -> None:
    there = receiver(tls=certified("other.example.com"))
    names["hooks.example.com"] = ["127.0.0.1"]

    assert post(f"https://hooks.example.com:{there.port}/hook").error == "the certificate is not valid"
    assert there.received == []


class _one_answer:
    """A server that writes these bytes to whoever connects and then keeps silent, or hangs up if there are none."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}/?token=hidden"

    def _serve(self) -> None:
        self.peer, _ = self.socket.accept()
        self.peer.recv(65_536)
        if self.answer:
            self.peer.sendall(self.answer)
        else:
            self.peer.close()

    def __exit__(self, *_: Any) -> None:
        self.peer.close()
        self.socket.close()
