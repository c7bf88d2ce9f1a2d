"""What would a chip with other memory give? Sweep one number of a platform in a few lines."""

import modelwright as mw
from modelwright.hardware import estimate_many, set_values

networks = [mw.architecture(name) for name in ("efficientnet-b0", "efficientnet-x-b0")]
for factor in ("0.5x", "1x", "2x", "4x"):
    changed = set_values(mw.platform("tpu-v4i"), {"hbm.bandwidth": factor})
    before, after = estimate_many(networks, changed, batch=128).latency_s
    print(f"hbm {factor:>4}: EfficientNet-X is {before / after:.2f} times as fast")
