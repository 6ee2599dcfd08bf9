#!/usr/bin/env python3
"""Fetches the sources of Google Highway 1.2.0, for machines whose packages carry no static libhwy.

NumPy's source distribution contains them, so one pinned, checksummed file from the configured Python
package index is enough; no git host is needed. NumPy itself is neither built nor installed.

usage: fetch_highway.py DESTINATION      (an existing, complete destination is left alone)
"""
import hashlib
import html.parser
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import urllib.request

PROJECT = "numpy"
SDIST = "numpy-2.3.5.tar.gz"
SHA256 = "784db1dcdab56bf0517743e746dfb0f885fc68d948aba86eeec2cba234bdf1c0"
FOLDER = "numpy-2.3.5/numpy/_core/src/highway/"
# What the library needs: the core headers and sources and the licence. Tests and contrib stay out.
KEEP = ("hwy/", "LICENSE", "LICENSE-BSD3")
SKIP = ("hwy/contrib/", "hwy/tests/", "hwy/examples/")
STAMP = "complete.sha256"


def pip_config(key):
    """A value of pip's own configuration (environment first), or None."""
    value = os.environ.get("PIP_" + key.upper().replace("-", "_"))
    if value:
        return value
    result = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global." + key],
                            capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def index_url():
    configured = pip_config("index-url")
    if configured:
        return configured.rstrip("/")
    try:
        from pip._internal.models.index import PyPI  # pip's default index
    except ImportError as error:
        sys.exit(f"fetch_highway: pip is needed to know the package index ({error}). Install python3-pip, "
                 "set PIP_INDEX_URL, or point GLQ_HIGHWAY_DIR at Highway's sources.")
    return PyPI.simple_url.rstrip("/")


class Links(html.parser.HTMLParser):
    """Collects the href of every link of an index page."""

    def __init__(self):
        super().__init__()
        self.hrefs = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.hrefs.extend(value for name, value in attrs if name == "href" and value)


def open_url(url, accept="*/*"):
    context = ssl.create_default_context(cafile=pip_config("cert"))
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "libglq-build"})
    return urllib.request.urlopen(request, timeout=180, context=context)


def download(target):
    page_url = f"{index_url()}/{PROJECT}/"
    with open_url(page_url, "text/html") as response:
        page_url = response.geturl()
        links = Links()
        links.feed(response.read().decode("utf-8", "replace"))
    for href in links.hrefs:
        url = urllib.parse.urldefrag(urllib.parse.urljoin(page_url, href)).url
        if url.rsplit("/", 1)[-1] == SDIST:
            break
    else:
        sys.exit(f"fetch_highway: the package index lists no {SDIST}")
    digest = hashlib.sha256()
    with open_url(url) as response, open(target, "wb") as out:
        while block := response.read(1 << 20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != SHA256:
        sys.exit(f"fetch_highway: {SDIST} has sha256 {digest.hexdigest()}, expected {SHA256}")


def extract(archive, folder):
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isfile() or not member.name.startswith(FOLDER):
                continue
            name = member.name[len(FOLDER):]
            if ".." in name.split("/") or not name.startswith(KEEP) or name.startswith(SKIP):
                continue
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(path, "wb") as out:
                shutil.copyfileobj(source, out)
            count += 1
    return count


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    destination = pathlib.Path(sys.argv[1])
    stamp = destination / STAMP
    if stamp.is_file() and stamp.read_text().strip() == SHA256:
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".highway-") as scratch:
        scratch = pathlib.Path(scratch)
        try:
            download(scratch / SDIST)
        except OSError as error:
            sys.exit(f"fetch_highway: cannot download {SDIST}: {error}. Check the network and pip's configuration, "
                     "or point GLQ_HIGHWAY_DIR at Highway's sources.")
        folder = scratch / "highway"
        count = extract(scratch / SDIST, folder)
        if not (folder / "hwy" / "highway.h").is_file():
            sys.exit(f"fetch_highway: {SDIST} holds no Highway sources")
        (folder / STAMP).write_text(SHA256 + "\n")
        if destination.exists():
            shutil.rmtree(destination)
        os.rename(folder, destination)
    print(f"fetch_highway: {count} files in {destination}")


if __name__ == "__main__":
    main()
