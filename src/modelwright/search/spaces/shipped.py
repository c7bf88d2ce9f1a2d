"""The TOML files beside this one."""

from functools import partial
from importlib import resources


def _text(name: str) -> str:
    return resources.files("modelwright.search.spaces").joinpath(f"{name}.toml").read_text(encoding="utf-8")


efficientnet = partial(_text, "efficientnet")
efficientnet_small = partial(_text, "efficientnet-small")
efficientnet_x = partial(_text, "efficientnet-x")
efficientnet_x_small = partial(_text, "efficientnet-x-small")
gpt = partial(_text, "gpt")
vit = partial(_text, "vit")
