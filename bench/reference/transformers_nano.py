"""The same checkpoint run by Hugging Face transformers, for the comparison in bench/README.md.

End to end over a folder, file to text: Pillow opens and decodes, the published processor resizes and normalises, the model captions greedily in
float32. Whole batches, one after the other, as the library's documentation shows it. Files are read once before the clock starts, as they are
for minigpt, so the disk is not measured.

    python transformers_nano.py --checkpoint DIR --images DIR --threads 2 --batch-sizes 1,16,64 --out result.json
"""

import argparse
import json
import platform
import resource
import statistics
import time
from pathlib import Path

import PIL
import torch
import transformers
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="folder of a BLIP-2 in Hugging Face format")
    parser.add_argument("--images", required=True, type=Path, help="folder of images, not walked recursively")
    parser.add_argument("--batch-sizes", default="1,16,64", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--threads", default=2, type=int, help="threads of torch")
    parser.add_argument("--max-new-tokens", default=20, type=int)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--limit", type=int, help="only the first N images")
    parser.add_argument("--repetitions", default=1, type=int)
    parser.add_argument("--out", type=Path, help="write the numbers to this file")
    parser.add_argument("--captions", type=Path, help="write the captions of the last run to this file, by file name")
    return parser.parse_args()


class EncoderClock:
    """Measures what generate() spends from the image encoder's start to the projected query tokens."""

    def __init__(self, model):
        self.seconds = 0.0
        self.started = 0.0
        inner = model.model if hasattr(model, "model") else model
        inner.vision_model.register_forward_pre_hook(self.start)
        inner.language_projection.register_forward_hook(self.stop)

    def start(self, *_):
        self.started = time.perf_counter()

    def stop(self, *_):
        self.seconds += time.perf_counter() - self.started


@torch.inference_mode()
def caption_folder(model, processor, clock, files, batch_size, max_new_tokens):
    """Captions all files; returns the seconds of each part and the captions by file name."""
    captions = {}
    clock.seconds = processing = generating = 0.0
    begin = time.perf_counter()
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        before = time.perf_counter()
        images = [Image.open(file).convert("RGB") for file in batch]
        inputs = processor(images=images, return_tensors="pt").to(model.dtype)
        processed = time.perf_counter()
        ids = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
        generated = time.perf_counter()
        # Without a text generate() puts image tokens and the start token in by itself; all of them are special.
        texts = processor.batch_decode(ids, skip_special_tokens=True)
        captions.update((file.name, text.strip()) for file, text in zip(batch, texts, strict=True))
        processing += processed - before
        generating += generated - processed
    seconds = {
        "total": time.perf_counter() - begin,
        "decode_and_process": processing,
        "vision_and_qformer": clock.seconds,
        "language_model": generating - clock.seconds,
    }
    return seconds, captions


def processor_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    processor = Blip2Processor.from_pretrained(options.checkpoint)
    model = Blip2ForConditionalGeneration.from_pretrained(options.checkpoint, dtype=options.dtype).eval()
    clock = EncoderClock(model)
    files = sorted(file for file in options.images.iterdir() if file.suffix.lower() in ENDINGS)[: options.limit]
    for file in files:
        file.read_bytes()

    runs = []
    captions = {}
    for batch_size in options.batch_sizes:
        caption_folder(model, processor, clock, files[:batch_size], batch_size, options.max_new_tokens)  # warm-up
        for _ in range(options.repetitions):
            seconds, captions = caption_folder(model, processor, clock, files, batch_size, options.max_new_tokens)
            rate = len(files) / seconds["total"]
            runs.append({"batch_size": batch_size, "images_per_second": round(rate, 2), "seconds": seconds})
            parts = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
            print(f"batch {batch_size:>3}: {rate:7.1f} images/s   ({parts})", flush=True)

    result = {
        "what": "transformers, file to caption",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "pillow": PIL.__version__,
        },
        "machine": {"processor": processor_name(), "system": platform.platform(), "threads": options.threads},
        "images": len(files),
        "dtype": options.dtype,
        "max_new_tokens": options.max_new_tokens,
        "median_images_per_second": {
            size: statistics.median(run["images_per_second"] for run in runs if run["batch_size"] == size)
            for size in options.batch_sizes
        },
        # Linux counts in kilobytes, macOS in bytes.
        "peak_rss_mb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() == "Darwin" else 2**10)
        ),
        "runs": runs,
    }
    print(json.dumps(result["versions"] | {"peak_rss_mb": result["peak_rss_mb"]}))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if options.captions:
        options.captions.write_text(json.dumps(captions, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
