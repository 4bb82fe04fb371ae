"""`imgfeat export`: write a model as one ONNX file."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from imgfeat.cli.arguments import Subcommands, add_trust
from imgfeat.cli.inputs import list_images
from imgfeat.cli.models import load_model_file


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat export` to the commands."""
    parser = commands.add_parser(
        "export", help="write a model as one ONNX file, and verify its outputs"
    )
    parser.add_argument("model", help="model file (.skops)")
    parser.add_argument("out", metavar="FILE", help="file to write, such as model.onnx")
    parser.add_argument(
        "--check",
        metavar="DIR",
        help="folder of images to verify the outputs on (default: built-in photographs)",
    )
    parser.add_argument("--int8", action="store_true", help="quantise networks to 8-bit integers")
    parser.add_argument(
        "--resize", action="store_true", help="accept images of any size, which the graph resizes"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="export the leading steps that can be converted, and leave out the rest",
    )
    add_trust(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export a model, and print the certificate of the comparison."""
    from imgfeat.export import to_onnx
    from imgfeat.images.samples import sample_images

    out = Path(arguments.out)
    if out.exists() and os.path.exists(arguments.model) and out.samefile(arguments.model):
        raise ValueError(
            f"{out} is the model itself, which the ONNX file would replace. Use another file name."
        )
    model = load_model_file(arguments.model, arguments.trust)
    sample: Any = sample_images(12, (240, 320, 3))
    if arguments.check:
        sample = list_images(arguments.check)
        if not sample:
            raise ValueError(f"No images in {arguments.check}.")
    print(f"Exporting {arguments.model} and comparing ...", file=sys.stderr, flush=True)
    certificate = to_onnx(
        model,
        sample,
        out,
        int8=arguments.int8,
        resize=arguments.resize,
        allow_partial=arguments.partial,
    )
    print(f"{out}: {certificate}")
    return 0
