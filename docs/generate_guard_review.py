"""Takes the picture of the review page in docs/guard.md, with Chromium: python docs/generate_guard_review.py."""

import http.client
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules

PICTURE = Path(__file__).with_name("images").resolve() / "guard-review.png"
TEXTS = (
    "My card was swallowed by the machine at the station, and nobody answers the phone.",
    "my card was swallowed by the machine at the station and nobody answers the phone!",
    "Can I pay in two parts?",
    "What is your favourite colour?",
)


def queue(path: Path) -> None:
    """A queue of four messages, of which two are nearly one."""
    made = Queue.create(path, ReviewRules(classes=("card lost", "card stuck", "cash missing", "payment", "transfer")))
    made.add(
        ReviewItem(
            f"message {number}", "cash missing", text, (), "uncertain", 0.41, 5.8, -number, details={"from": "app"}
        )
        for number, text in enumerate(TEXTS, 1042)
    )


def main() -> None:
    """Serve the queue, open an item, and take its picture."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "reviews.db")
        queue(place)
        words = ["-m", "modelwright", "guard", "review", str(place), "--web", "--port", "0", "--reviewer", "ann"]
        with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as server:
            if not server.stdout:
                return
            home = urlsplit(server.stdout.readline().split()[1]).netloc
            link = http.client.HTTPConnection(home)
            link.request("POST", "/next", headers={"Origin": f"http://{home}"})
            page = link.getresponse().headers["location"]
            flags = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=800,640"]
            shot = Path(folder, "shot.png")
            subprocess.run(
                [
                    "chromium",
                    *flags,
                    f"--user-data-dir={folder}/browser",
                    f"--screenshot={shot}",
                    f"http://{home}{page}",
                ],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            server.terminate()
        Image.open(shot).convert("RGB").quantize(64).save(PICTURE, optimize=True)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
