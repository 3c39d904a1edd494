# SPDX-License-Identifier: Apache-2.0
"""Against a server on loopback that can resume, cut, redirect, and change its mind."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import os
import socket
import threading

from hypothesis import given, settings, strategies as st
import pytest

from vpr_ros.core.folder import file_digest
from vpr_ros.errors import ModelError
from vpr_ros.tools.download import download, Place

CONTENT = bytes(range(256)) * 1000
REMEDY = 'bring net.pth yourself'


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`; `server.cut_after` bytes, then the connection ends."""

    def do_GET(self):
        server = self.server
        server.seen.append(dict(self.headers))
        if self.path == '/moved':
            self.send_response(302)
            self.send_header('Location', '/net.pth')
            self.end_headers()
            return
        if self.path != '/net.pth':
            self.send_error(404)
            return
        content, start = server.content, 0
        asked = self.headers.get('Range')
        if asked and server.resumes and self.headers.get('If-Range') == server.version:
            start = int(asked.removeprefix('bytes=').rstrip('-'))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start + server.shift}-{len(content) - 1}/'
                                              f'{len(content)}')
        else:
            self.send_response(200)
        if server.version:
            self.send_header(server.version_header, server.version)
        body = content[start:]
        if server.says_length:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[:server.cut_after])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.content, server.version, server.version_header = CONTENT, '"one"', 'ETag'
        server.resumes, server.says_length, server.cut_after, server.shift = True, True, None, 0
        server.seen = []
        server.url = f'http://127.0.0.1:{server.server_address[1]}/net.pth'
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'kept' / 'net.pth'


def fetched(server, target, check=lambda path: None, **options):
    return download(server.url, target, REMEDY, check, **options)


def files(target):
    return sorted(file.name for file in target.parent.iterdir())


def test_a_file_arrives_whole_and_is_pinned(server, target):
    steps = []
    assert fetched(server, target, progress=lambda *step: steps.append(step)) == target
    assert target.read_bytes() == CONTENT
    assert Place(target).pin.read_text().strip() == file_digest(target)
    assert files(target) == ['net.pth', 'net.pth.sha256']
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert 'Range' not in server.seen[0]
    assert server.seen[0]['User-Agent'].startswith('vpr_ros/')


def test_what_is_here_is_not_fetched_again(server, target):
    fetched(server, target)
    fetched(server, target)
    assert len(server.seen) == 1
    target.unlink()
    fetched(server, target)
    assert len(server.seen) == 2


@pytest.mark.parametrize('version_header', ['ETag', 'Last-Modified'])
def test_a_cut_download_is_gone_on_from(server, target, version_header):
    server.version_header, server.cut_after = version_header, 100_000
    with pytest.raises(ModelError, match=r'was cut off after 0\.1 of 0\.3 MB; run the same comma'):
        fetched(server, target)
    assert not target.exists()
    server.cut_after = None
    fetched(server, target)
    assert target.read_bytes() == CONTENT
    assert server.seen[1]['Range'] == 'bytes=100000-'
    assert files(target) == ['net.pth', 'net.pth.sha256']


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, len(CONTENT) // 3), max_size=5))
def test_however_often_it_is_cut_the_file_is_the_same(tmp_path_factory, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('no_proxy', '*')
        with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
            server.content, server.version, server.version_header = CONTENT, '"a"', 'ETag'
            server.resumes, server.says_length, server.shift, server.seen = True, True, 0, []
            server.url = f'http://127.0.0.1:{server.server_address[1]}/net.pth'
            thread = threading.Thread(target=server.serve_forever,
                                      kwargs={'poll_interval': 0.005})
            thread.start()
            try:
                target, complete = tmp_path_factory.mktemp('cut') / 'net.pth', False
                for cut in [*cuts, None]:
                    server.cut_after = cut
                    try:
                        fetched(server, target)
                        complete = True
                    except ModelError:
                        assert cut is not None
                assert complete
                assert target.read_bytes() == CONTENT
            finally:
                server.shutdown()
                thread.join()


@pytest.mark.parametrize('change', [
    {'resumes': False}, {'version': '"two"', 'content': CONTENT[::-1]}, {'version': ''}])
def test_a_part_of_another_version_or_server_is_begun_anew(server, target, change):
    server.cut_after = 100_000
    with pytest.raises(ModelError, match='was cut off'):
        fetched(server, target)
    server.cut_after = None
    for name, value in change.items():
        setattr(server, name, value)
    fetched(server, target)
    assert target.read_bytes() == server.content


@pytest.mark.parametrize('version', ['', 'W/"weak"'])
def test_without_a_version_to_name_nothing_is_resumed(server, target, version):
    server.version, server.cut_after = version, 100_000
    with pytest.raises(ModelError, match='was cut off'):
        fetched(server, target)
    server.cut_after = None
    fetched(server, target)
    assert 'Range' not in server.seen[1]
    assert target.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_begun_anew(server, target):
    server.cut_after = 100_000
    with pytest.raises(ModelError, match='was cut off'):
        fetched(server, target)
    server.cut_after, server.content = None, CONTENT[:50_000]
    fetched(server, target)
    assert target.read_bytes() == CONTENT[:50_000]


def test_a_server_that_goes_on_elsewhere_is_refused(server, target):
    server.cut_after = 100_000
    with pytest.raises(ModelError, match='was cut off'):
        fetched(server, target)
    server.cut_after, server.shift = None, 5
    with pytest.raises(ModelError, match='went on at another place than asked'):
        fetched(server, target)


@pytest.mark.parametrize('says_length', [True, False])
def test_a_file_that_is_too_large_is_refused(server, target, says_length):
    server.says_length = says_length
    with pytest.raises(ModelError, match=r'more than the limit of 0\.2 MB; raise --max-mb'):
        fetched(server, target, max_bytes=200_000)
    assert not target.exists()
    fetched(server, target, max_bytes=len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_at_its_source_is_refused(server, target):
    fetched(server, target)
    first = Place(target).pin.read_text()
    target.unlink()
    server.content, server.version = CONTENT[::-1], '"two"'
    with pytest.raises(ModelError, match='its source has exchanged it; ask there why'):
        fetched(server, target)
    assert files(target) == ['net.pth.sha256']
    assert Place(target).pin.read_text() == first
    Place(target).pin.unlink()
    fetched(server, target)


def test_a_kept_file_that_was_damaged_is_refused(server, target):
    fetched(server, target)
    target.write_bytes(CONTENT[:-1] + b'x')
    with pytest.raises(ModelError, match='it is damaged; delete it to fetch it again'):
        fetched(server, target)


def test_content_that_must_not_be_kept_is_neither_kept_nor_pinned(server, target):
    def refuse(path):
        assert path.read_bytes() == CONTENT
        raise ModelError('a web page')
    with pytest.raises(ModelError, match='a web page'):
        fetched(server, target, refuse)
    assert files(target) == []


def test_a_redirect_is_followed(server, target):
    download(server.url.replace('net.pth', 'moved'), target, REMEDY, lambda path: None)
    assert target.read_bytes() == CONTENT


def test_what_is_not_there_is_said_with_a_way_out(server, target):
    with pytest.raises(ModelError, match=r'answers 404 \(Not Found\); bring net\.pth yourself'):
        download(server.url + 'x', target, REMEDY, lambda path: None)


def test_without_a_network_the_way_out_is_said(monkeypatch, target):
    monkeypatch.setenv('no_proxy', '*')
    with socket.socket() as nobody:
        nobody.bind(('127.0.0.1', 0))  # bound, and not listening
        with pytest.raises(ModelError, match=r'cannot be reached \(.*\); bring net\.pth yourself'):
            download(f'http://127.0.0.1:{nobody.getsockname()[1]}/net.pth', target, REMEDY,
                     lambda path: None)


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='root writes everywhere')
def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ModelError, match='choose another folder by --downloads'):
            fetched(server, tmp_path / 'kept' / 'net.pth')
    finally:
        tmp_path.chmod(0o700)
