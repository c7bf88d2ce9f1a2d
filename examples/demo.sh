#!/bin/sh
# The main job: on real data (handwritten digits), for the very machine that this runs on, a search for the networks that are
# best in accuracy and latency, a family of three grown from them, and the report. Beside it, EfficientNet and EfficientNet-X
# scaled down by their own rule, trained by the same recipe and measured in the same run. Of the digits four hundred are
# learned from: with all of them the smallest networks are right on nearly everything, and there is nothing to choose. So a
# training takes seconds, and each candidate gets a whole one.
set -eu
folder=${1:-build/demo}
rm -rf "$folder"
mkdir -p "$folder"
modelwright search --data digits --images 400 --evidence training --trials 30 --epochs 18 --final-epochs 36 \
    --threads 1 --workers 2 --output "$folder/search"
echo
echo "== Why: where the time of the family's largest network goes, by the performance model =="
largest=$(ls -d "$folder"/search/efficientnet-x-small-[0-9] | tail -n 1)
modelwright explain "$largest/architecture.json" --platform x86 --top 3 --tries 6
echo
echo "== Quantized: the fastest precision that keeps its accuracy on OpenVINO, every candidate measured =="
modelwright quantize "$largest" --budget 60s --output "$folder/quantized"
echo
echo "The reports: $folder/search/report.html, $folder/quantized/report.html"
