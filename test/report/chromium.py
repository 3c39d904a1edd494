# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium driven over its DevTools pipe: no port, no library, no network."""

from __future__ import annotations

import base64
from collections.abc import Callable
import fcntl
import json
import os
from pathlib import Path
import select
import shutil
import signal
import subprocess
import time
from typing import Any

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--no-first-run', '--disable-background-networking', '--disable-component-update',
         '--disable-sync', '--hide-scrollbars', '--force-device-scale-factor=1',
         '--host-resolver-rules=MAP * ~NOTFOUND', '--remote-debugging-pipe')
LIMIT_S = 60.0


def chromium() -> str | None:
    """Return the browser of this computer, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page. `complaints` are errors of its scripts; `requests` what it asked for."""

    def __init__(self, profile: Path) -> None:
        to_browser, from_browser = os.pipe(), os.pipe()
        # The browser reads on 3 and writes on 4, so our own ends must be out of the way.
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_browser[0], from_browser[1])]
        self._write, self._read = to_browser[1], from_browser[0]

        def place() -> None:
            os.setsid()
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        binary = chromium()
        assert binary is not None
        self._process = subprocess.Popen(
            [binary, *FLAGS, f'--user-data-dir={profile}', 'about:blank'], preexec_fn=place,
            pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for fd in (to_browser[0], from_browser[1], *theirs):
            os.close(fd)
        self._buffer, self._number, self._session = b'', 0, ''
        self.complaints: list[str] = []
        self.requests: list[str] = []
        targets = self.call('Target.getTargets')['targetInfos']
        target = next(one['targetId'] for one in targets if one['type'] == 'page')
        self._session = self.call('Target.attachToTarget', targetId=target, flatten=True
                                  )['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one command of the DevTools protocol."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters,
                   **({'sessionId': self._session} if self._session else {})}
        os.write(self._write, json.dumps(message).encode() + b'\0')
        until = time.monotonic() + LIMIT_S
        while True:
            answer = self._next(until)
            if answer.get('id') == self._number:
                assert 'error' not in answer, f'{method}: {answer["error"]}'
                return dict(answer['result'])
            self._heard(answer)

    def _next(self, until: float) -> dict[str, Any]:
        while b'\0' not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(until - time.monotonic(), 0.0))
            assert ready, 'the browser does not answer'
            piece = os.read(self._read, 1 << 20)
            assert piece, 'the browser has ended'
            self._buffer += piece
        raw, self._buffer = self._buffer.split(b'\0', 1)
        return dict(json.loads(raw))

    def _heard(self, event: dict[str, Any]) -> None:
        method, said = event.get('method'), event.get('params', {})
        if method == 'Network.requestWillBeSent':
            self.requests.append(said['request']['url'])
        elif method == 'Runtime.exceptionThrown':
            details = said['exceptionDetails']
            self.complaints.append(details.get('exception', {}).get('description')
                                   or details['text'])
        elif method == 'Runtime.consoleAPICalled' and said['type'] in ('error', 'assert',
                                                                       'warning'):
            self.complaints.append(' '.join(str(one.get('value', one.get('description')))
                                            for one in said['args']))
        elif method == 'Log.entryAdded' and said['entry']['level'] == 'error':
            self.complaints.append(said['entry']['text'])

    def open(self, path: Path, width: int = 1400, height: int = 1000, dark: bool = False,
             fragment: str = '') -> None:
        """Show a file and wait until its scripts say that they are ready."""
        self.look(width, height, dark)
        self.complaints.clear()
        self.requests.clear()
        self.call('Page.navigate', url='about:blank')
        self.call('Page.navigate', url=path.resolve().as_uri() + fragment)
        self.until('document.documentElement?.dataset.ready === "yes" '
                   '&& location.protocol === "file:"')

    def look(self, width: int, height: int, dark: bool) -> None:
        """Set the size of the window, and light or dark."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        self._wait(lambda: bool(self.js(expression)), expression)

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < until, f'never: {what}; {self.complaints}'
            time.sleep(0.02)

    def point(self, x: float, y: float, click: bool = False) -> None:
        """Move the mouse to a point of the window, and click there."""
        for kind, extra in (('mouseMoved', {}), *((
                ('mousePressed', {'button': 'left', 'clickCount': 1}),
                ('mouseReleased', {'button': 'left', 'clickCount': 1})) if click else ())):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **extra)

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {'text': key} if len(key) == 1 else {}
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, **text)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write a screenshot, of the window or of the whole page."""
        shot = self.call('Page.captureScreenshot', captureBeyondViewport=whole, **(
            {'clip': {**self.call('Page.getLayoutMetrics')['cssContentSize'], 'scale': 1}}
            if whole else {}))
        path.write_bytes(base64.b64decode(shot['data']))

    def close(self) -> None:
        """End the browser, which this object started as the leader of a group."""
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
