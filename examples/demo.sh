#!/bin/sh
# The main job so far: what EfficientNet and EfficientNet-X cost on three accelerators and why, what would make them
# faster, and one real measurement on this machine beside its estimate.
set -eu
pages=${1:-build/demo}
mkdir -p "$pages"

echo "== What they cost =="
modelwright cost efficientnet-b0 efficientnet-x-b0 --platform tpu-v3 v100 h200 --batch 128 --html "$pages/cost.html"

for platform in tpu-v3 v100 h200; do
    for network in efficientnet-b0 efficientnet-x-b0; do
        echo
        echo "== Why, and what would change it: $network on $platform =="
        modelwright explain "$network" --platform "$platform" --batch 128 --top 3 --tries 6
    done
done

echo
echo "== This machine: calibrated, then measured beside its estimate =="
modelwright platform calibrate --name this-machine --seconds 20 --output "$pages/this-machine.toml" --force
modelwright measure efficientnet-b0 efficientnet-x-b0 --batch 1 --repetitions 5 --platform "$pages/this-machine.toml"

echo
echo "The page: $pages/cost.html; this machine as a platform: $pages/this-machine.toml"
