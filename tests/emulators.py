#!/usr/bin/env python3
"""Runs a command beside emulators of S3, Google Cloud Storage and Azure Blob Storage, and stops them after it.

    target/emulators/python/bin/python tests/emulators.py cargo test -p datafuse-space

./test.sh installs what it needs (moto, azurite) under target/emulators. The emulators listen on free ports of this machine; the
command finds them in DATAFUSE_TEST_S3, DATAFUSE_TEST_GCS and DATAFUSE_TEST_AZURE, and in DATAFUSE_TEST_AZURE_SAS a token that
may read, write and list in the latter. One moto serves both of the former: the XML
interface of Google Cloud Storage, which the program uses, is that of S3 but for how a request is authorised.
"""

import base64
import datetime
import hashlib
import hmac
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(ROOT, "target", "emulators")
# Only letters: clients of Google Cloud Storage encode a hyphen, which moto takes for another name.
BUCKET = "datafusetest"
# The account that Azurite documents for everybody.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_TIMEOUT_S = 60


class Emulator:
    """A process that says in its output at which address it listens."""

    def __init__(self, name, command, says):
        self.name, self.says = name, says
        self.address, self.lines, self.ready = None, [], threading.Event()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        # Read to the end, so that a full pipe never stops it.
        for line in self.process.stdout:
            found = re.search(self.says, line)
            if found and not self.address:
                self.address = found.group(1).rstrip("/")
                self.ready.set()
            if not self.address:
                self.lines.append(line)
        self.ready.set()

    def wait(self):
        self.ready.wait(START_TIMEOUT_S)
        if not self.address:
            sys.exit(f"Error: {self.name} did not start: {''.join(self.lines)[-2000:]}")
        return self.address

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)


def serve_moto():
    """Serves S3, and Google Cloud Storage to clients that have a token, or none, where S3 has a signature. None is verified."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    moto = DomainDispatcherApplication(create_backend_app)
    signed = "AWS4-HMAC-SHA256 Credential=test/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"

    def signed_for_s3(environ, start_response):
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4"):
            environ["HTTP_AUTHORIZATION"] = signed
        return moto(environ, start_response)

    run_simple("127.0.0.1", 0, signed_for_s3, threaded=True)


def request(url, headers):
    headers = {"Content-Length": "0", **headers}
    # No proxy: the address is of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, data=b"", headers=headers, method="PUT"), timeout=30).read()


def make_container(endpoint):
    """Makes the container, with a request signed as Azure's Shared Key authorisation has it."""
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    named = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    content_type = "application/octet-stream"
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(named.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    to_sign = f"PUT\n\n\n\n\n{content_type}\n\n\n\n\n\n\n{canonical}{resource}"
    signature = hmac.new(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256).digest()
    authorization = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
    url = f"{endpoint}/{BUCKET}?restype=container"
    request(url, {**named, "Content-Type": content_type, "Authorization": authorization})


def shared_access_signature():
    """Gives an account SAS for all of the blob service, valid for a day."""
    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    named = {"sp": "rwlc", "ss": "b", "srt": "sco", "st": "", "se": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "sip": "", "spr": ""}
    named["sv"] = "2018-11-09"
    to_sign = "".join(f"{value}\n" for value in [ACCOUNT, *named.values()])
    signature = hmac.new(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256).digest()
    named["sig"] = base64.b64encode(signature).decode()
    return urllib.parse.urlencode({name: value for name, value in named.items() if value})


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--serve-moto":
        return serve_moto()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    emulators = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            moto = [os.path.join(TOOLS, "python", "bin", "python"), os.path.abspath(__file__), "--serve-moto"]
            azurite = [os.path.join(TOOLS, "node_modules", ".bin", "azurite-blob"), "--location", folder]
            azurite += ["--blobHost", "127.0.0.1", "--blobPort", "0", "--disableTelemetry", "--skipApiVersionCheck"]
            emulators.append(Emulator("moto", moto, r"Running on (http://127\.0\.0\.1:[1-9]\d*)"))
            emulators.append(Emulator("azurite", azurite, r"successfully listens on (http://127\.0\.0\.1:[1-9]\d*)"))
            s3, azure = (emulator.wait() for emulator in emulators)
            azure = f"{azure}/{ACCOUNT}"
            request(f"{s3}/{BUCKET}", {})
            make_container(azure)
            found = {"DATAFUSE_TEST_S3": s3, "DATAFUSE_TEST_GCS": s3, "DATAFUSE_TEST_AZURE": azure}
            found["DATAFUSE_TEST_AZURE_SAS"] = shared_access_signature()
            found["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
            sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, **found}).returncode)
        finally:
            for emulator in emulators:
                emulator.stop()


if __name__ == "__main__":
    main()
