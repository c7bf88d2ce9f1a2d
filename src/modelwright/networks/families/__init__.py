"""Model families: the rules by which papers get from a few coefficients to an architecture. Pure data, no torch.

Each row names a mapping from the names on the command line to functions that make the Architecture; packages of other
authors add rows through the entry-point group "modelwright.families".
"""

FAMILIES = {
    "efficientnet": "modelwright.networks.families.efficientnet:NAMED",
    "efficientnet-x": "modelwright.networks.families.efficientnet_x:NAMED",
    "efficientnetv2": "modelwright.networks.families.efficientnetv2:NAMED",
    "mobilenetv3": "modelwright.networks.families.mobilenetv3:NAMED",
    "regnet": "modelwright.networks.families.regnet:NAMED",
    "resnest": "modelwright.networks.families.resnest:NAMED",
    "resnet": "modelwright.networks.families.resnet:NAMED",
    "vit": "modelwright.networks.families.vit:NAMED",
    "gpt": "modelwright.networks.families.gpt:NAMED",
}
