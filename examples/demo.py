"""What Plait does with three kinds of work, over real input: the Python files of this very machine.

    make demo

The same `plait.map` runs a parser that keeps the processor busy, a compressor that does so outside of Python's global
lock, and a fetcher that mostly waits. Nobody tells it how; each is then run one item after the other, for comparison.
"""

import ast
import asyncio
import hashlib
import http.server
import lzma
import subprocess
import sys
import sysconfig
import time
import urllib.parse
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

import plait

FILES, PAGES = 1600, 2000
NETWORK_SECONDS = 0.005


# ------------------------------------------------------------------------------------------------- three real functions


def measure(path):
    """Parse a file and count what is in it: pure Python, which holds the global lock."""
    with warnings.catch_warnings(action="ignore"):  # odd escapes in other people's files
        tree = ast.parse(Path(path).read_bytes())
    nodes = list(ast.walk(tree))
    return {
        "path": path,
        "functions": sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "branches": sum(isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.BoolOp) for node in nodes),
        "depth": depth(tree),
    }


def depth(node):
    """How deep statements are nested."""
    inner = max((depth(child) for child in ast.iter_child_nodes(node)), default=0)
    return inner + isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try)


def archive(path):
    """Hash and compress a file: C code, which lets go of the global lock."""
    data = Path(path).read_bytes()
    return {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "packed": len(lzma.compress(data))}


async def fetch(url):
    """Get a page: nearly all of it is waiting."""
    address = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"GET {address.path} HTTP/1.0\r\nHost: {address.netloc}\r\n\r\n".encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return {"url": url, "status": int(head.split()[1]), "sha256": hashlib.sha256(body).hexdigest()}
    finally:
        writer.close()


# --------------------------------------------------------------------------------------------- run, compare and explain


def main():
    """Run the three over what is found here, and show a table."""
    console = Console()
    library, packages = sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")
    found = sorted(
        {path for folder in (library, packages) for path in plait.read.files(folder) if path.endswith(".py")}
    )
    files = found[:: max(1, len(found) // FILES)][:FILES]
    console.print(
        f"{len(files):,} of the {len(found):,} Python files in {library} and {packages}\n",
        highlight=False,
        soft_wrap=True,
    )

    with Server(library) as server:
        pages = [server.url(path) for path in found if path.startswith(library)][:PAGES]
        rows = [
            compare(console, "parse", measure, files, model="serial"),
            compare(console, "compress", archive, files, model="serial"),
            compare(console, "fetch", fetch, pages, sample=10, model="async", width=1),
        ]

    table = Table("work", "items", "plait chose", "took", "one by one", "gain", "same results")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print("~ measured over every tenth item and scaled", style="dim")
    return all(row[-1] == "yes" for row in rows)


def compare(console, title, function, items, sample=1, **one_by_one):
    """Run `function` as Plait sees fit, then one by one over every `sample`-th item, and say how they differ."""
    with console.status(f"{title}: {len(items):,} items"):
        began = time.perf_counter()
        run = plait.map(function, items, on_error="return")
        results = [result or None for result in run]  # a failure counts as false: some files are broken on purpose
        took = time.perf_counter() - began

        part = items[::sample]
        began = time.perf_counter()
        expected = [result or None for result in plait.map(function, part, on_error="return", **one_by_one)]
        serial = (time.perf_counter() - began) * len(items) / len(part)

    console.print(f"[bold]{title}[/bold]: {function.__doc__}")
    console.print(run.report.explain(), "", sep="\n", markup=False, highlight=False)
    scaled = "" if sample == 1 else "~"
    same = "yes" if results[::sample] == expected else "NO"
    chosen, gain = run.report.placement.model, f"{serial / took:.1f} x"
    return title, f"{len(items):,}", chosen, f"{took:.1f} s", f"{scaled}{serial:.1f} s", gain, same


# --------------------------------------------------------------------------- a real server, in a process of its own


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, a little slower than it could: like a network."""

    def do_GET(self):
        """Wait as a network would, then answer."""
        time.sleep(NETWORK_SECONDS)
        super().do_GET()

    def log_message(self, *_):
        """Say nothing."""


class Listener(http.server.ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 1024


class Server:
    """Serves `folder` while entered, on a port that the kernel chose."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __enter__(self):
        command = [sys.executable, __file__, "serve", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def url(self, path):
        """Where a file of the folder is served."""
        return f"http://127.0.0.1:{self.port}/{urllib.parse.quote(Path(path).relative_to(self.folder).as_posix())}"


def serve(folder):
    """Be the server."""
    listener = Listener(("127.0.0.1", 0), lambda *args: Pages(*args, directory=folder))
    print(listener.server_port, flush=True)
    listener.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        sys.exit(0 if main() else 1)
