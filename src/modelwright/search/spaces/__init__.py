"""The spaces that ship, and the makers that turn their points into architectures. Imports no torch.

Each row names a function that returns a `Space`, or the text of the TOML file that holds it; packages of other authors
add rows through the entry-point group "modelwright.spaces".
"""

SPACES = {
    "efficientnet-x": "modelwright.search.spaces.shipped:efficientnet_x",
    "efficientnet": "modelwright.search.spaces.shipped:efficientnet",
    "efficientnet-x-small": "modelwright.search.spaces.shipped:efficientnet_x_small",
    "efficientnet-small": "modelwright.search.spaces.shipped:efficientnet_small",
    "gpt": "modelwright.search.spaces.shipped:gpt",
    "vit": "modelwright.search.spaces.shipped:vit",
}
