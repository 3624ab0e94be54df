"""Downloads are whole and checked, or not there: against a server on this machine that behaves, or does not."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crmml.data import download as module
from crmml.data.download import Source, default_cache, download
from crmml.errors import ConfigError, DataError

TEXT = b" 00001 19970101  1   11.77\r\n" * 3000
DIGEST = hashlib.sha256(TEXT).hexdigest()
NAME = "CDNOW_master.txt"


@dataclass
class Shop:
    """A server that answers every request with `body` and counts the requests."""

    body: bytes = b""
    status: int = 200
    claimed: int | None = None  # the length that it says, if not the true one
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def source(self, sha256: str = DIGEST) -> Source:
        return Source(f"{self.address}/data.zip", NAME, sha256)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shop = Shop(body=packed(NAME, TEXT))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shop.requests.append(self.path)
            self.send_response(shop.status)
            self.send_header("Content-Length", str(shop.claimed or len(shop.body)))
            self.end_headers()
            self.wfile.write(shop.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        shop.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield shop
        server.shutdown()
        thread.join()


def packed(name: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return archive.getvalue()


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_a_download_is_kept_and_not_repeated(shop: Shop, tmp_path: Path) -> None:
    first = download(shop.source(), tmp_path / "new" / "cache", progress=False)
    again = download(shop.source(), tmp_path / "new" / "cache", progress=False)
    assert first == again == tmp_path / "new" / "cache" / NAME
    assert first.read_bytes() == TEXT
    assert visible(first.parent) == [NAME]
    assert shop.requests == ["/data.zip"]


def test_a_damaged_file_in_the_cache_is_downloaded_anew(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(TEXT[:-1])
    assert download(shop.source(), tmp_path, progress=False).read_bytes() == TEXT


def test_an_archive_packed_anew_is_the_same_file(shop: Shop, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr("read_me.txt", "new")
        file.writestr(NAME, TEXT)
    shop.body = archive.getvalue()
    assert download(shop.source(), tmp_path, progress=False).read_bytes() == TEXT


def test_two_at_once_download_once(shop: Shop, tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(download(shop.source(), tmp_path, progress=False).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [TEXT] * 4
    assert len(shop.requests) == 1


def test_progress_is_shown_unless_it_is_not_wanted(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(shop.source(), tmp_path / "a")
    assert NAME in capsys.readouterr().err
    download(shop.source(), tmp_path / "b", progress=False)
    assert capsys.readouterr() == ("", "")


def test_the_cache_follows_the_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "crmml"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "crmml"


# What goes wrong ----------------------------------------------------------------------------------------------


def fails(source: Source, folder: Path) -> str:
    """The message of the DataError; no file is left behind."""
    with pytest.raises(DataError) as error:
        download(source, folder, progress=False)
    assert visible(folder) == []
    return str(error.value)


def test_a_wrong_digest_is_refused(shop: Shop, tmp_path: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    assert fails(shop.source(sha256=other), tmp_path) == (
        f"{shop.address}/data.zip: 'CDNOW_master.txt' has the SHA-256 digest {DIGEST}, not {other}: it is damaged "
        "or not the file that was published. Nothing was kept. Try again, or give the path of a "
        "'CDNOW_master.txt' that you trust."
    )


def test_a_wrong_digest_leaves_the_old_file(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"mine")
    with pytest.raises(DataError):
        download(shop.source(sha256="0" * 64), tmp_path, progress=False)
    assert (tmp_path / NAME).read_bytes() == b"mine"


def failed(address: str, reason: str) -> str:
    return (
        f"{address}/data.zip: the download failed ({reason}). Look at the network and its proxy (https_proxy), or "
        "fetch the archive elsewhere and give the path of 'CDNOW_master.txt' from it."
    )


def test_a_server_that_is_not_there(shop: Shop, tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        source = Source(f"{address}/data.zip", NAME, DIGEST)
        assert fails(source, tmp_path) == failed(address, "[Errno 111] Connection refused")


def test_a_page_that_is_not_there(shop: Shop, tmp_path: Path) -> None:
    shop.status = 404
    assert fails(shop.source(), tmp_path) == failed(shop.address, "HTTP Error 404: Not Found")


def test_a_connection_that_breaks_off(shop: Shop, tmp_path: Path) -> None:
    shop.claimed = len(shop.body) + 1
    reason = f"the connection ended after {len(shop.body):,} of {len(shop.body) + 1:,} bytes"
    assert fails(shop.source(), tmp_path) == failed(shop.address, reason)


def test_a_server_that_sends_without_end(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100)
    assert fails(shop.source(), tmp_path) == failed(shop.address, "more than 100 bytes")


def test_a_page_instead_of_an_archive(shop: Shop, tmp_path: Path) -> None:
    shop.body = b"<html>Please log in</html>"
    assert fails(shop.source(), tmp_path) == (
        f"{shop.address}/data.zip: what was sent is not a whole zip archive (File is not a zip file). Try again, or "
        "give the path of a 'CDNOW_master.txt' that you have."
    )


def test_an_archive_that_unpacks_without_end(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(shop.body) < 1000 < len(TEXT)
    monkeypatch.setattr(module, "LIMIT", 1000)
    assert fails(shop.source(), tmp_path) == (
        f"{shop.address}/data.zip: what was sent is not a whole zip archive (more than 1,000 bytes). Try again, or "
        "give the path of a 'CDNOW_master.txt' that you have."
    )


def test_a_flipped_byte_in_the_archive(shop: Shop, tmp_path: Path) -> None:
    middle = len(shop.body) // 2
    shop.body = shop.body[:middle] + bytes([shop.body[middle] ^ 1]) + shop.body[middle + 1 :]
    assert "is not a whole zip archive" in fails(shop.source(), tmp_path)


def test_an_archive_of_something_else(shop: Shop, tmp_path: Path) -> None:
    shop.body = packed("CDNOW_sample.txt", TEXT)
    assert fails(shop.source(), tmp_path) == (
        f"{shop.address}/data.zip: the archive has no file 'CDNOW_master.txt', but 'CDNOW_sample.txt'. "
        "The publisher has changed it: give the path of a 'CDNOW_master.txt' that you have."
    )


def test_an_address_that_is_not_of_the_web(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        download(Source("file:///etc/passwd", NAME, DIGEST), tmp_path, progress=False)
    assert str(error.value) == (
        "download: 'file:///etc/passwd' is not an address of the web. Use one like 'https://...'."
    )


def test_a_cache_that_is_a_file(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConfigError) as error:
        download(shop.source(), tmp_path / "cache", progress=False)
    assert str(error.value).startswith(f"{tmp_path / 'cache'}: cannot write there (is a file).")
    assert shop.requests == []
