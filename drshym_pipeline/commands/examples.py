"""The examples in the help of each command, as a user types them. A test runs the parser on every one of them."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "segment": (
        "drshym segment scene.tif --out maps",
        "drshym segment scene_VV.tif scene_VH.tif --out maps --json",
        "drshym segment now.tif --pre before.tif --out maps --min-area-ha 0.5",
    ),
    "predict-folder": (
        "drshym predict-folder --in archive --out maps",
        "drshym predict-folder --ckpt runs/mine/bundle --in archive --out maps --no-progress",
        "drshym predict-folder --ckpt runs/mine/bundle --in data/tiles/test --out outputs/tiles",
    ),
    "tile": (
        "drshym tile scene.tif --out data/tiles/scene",
        "drshym tile scene_VV.tif --vh scene_VH.tif --out data/tiles/scene --tile 256 --overlap 32",
    ),
    "export-stitched": (
        "drshym export-stitched --proba-dir outputs/tiles --scene-meta data/tiles/test --out maps",
        "drshym export-stitched --proba_dir outputs/tiles --scene_meta data/tiles/test/scene_meta.json --out maps",
    ),
    "train": (
        "drshym train --config configs/shipped.yaml",
        "drshym train --config configs/shipped.yaml --out runs/second --seed 43",
    ),
    "register": ("drshym register runs/shipped/bundle", "drshym register runs/shipped/bundle --json"),
    "evaluate": (
        "drshym evaluate --data /data/sen1floods11/v1.1 --split test",
        "drshym evaluate --checkpoint runs/mine/bundle --data /data/sen1floods11/v1.1 --out scores",
    ),
    "benchmark": (
        "drshym benchmark --data /data/sen1floods11/v1.1 --out card",
        "drshym benchmark --data a --data b --checkpoint runs/mine/bundle --compare old=runs/old/bundle --out card",
    ),
    "baseline": ("drshym baseline --config configs/shipped.yaml --out pixel_classifier.json",),
    "simulate": (
        "drshym simulate --out scenes --seed 7 --size 1024",
        "drshym simulate --out scenes --ancillary layers",
        "drshym simulate --kind chips --out chips --train 96 --other 24",
    ),
    "convert-checkpoint": (
        "drshym convert-checkpoint best.pt --out runs/original/bundle",
        "drshym convert-checkpoint best.pt --out runs/original/bundle --bands vv_vh --threshold 0.45 --name original",
    ),
    "serve": (
        "drshym serve --input-root /data/scenes",
        "drshym serve --host 0.0.0.0 --port 8080 --token-file token.txt --workers 2",
    ),
    "status": ("drshym status", "drshym status S1_20210111T1234", "drshym status --json"),
    "completion": (
        "drshym completion bash > ~/.local/share/bash-completion/completions/drshym",
        "drshym completion fish > ~/.config/fish/completions/drshym.fish",
    ),
}
