#!/bin/sh
# The main job: on real data (handwritten digits), for the very machine that this runs on, a search for the networks that are
# best in accuracy and latency, a family of three grown from them, and the report. Beside it, EfficientNet and EfficientNet-X
# scaled down by their own rule, trained by the same recipe and measured in the same run.
set -eu
folder=${1:-build/demo}
rm -rf "$folder"
mkdir -p "$folder"
modelwright search --data digits --trials 30 --epochs 9 --final-epochs 18 --threads 1 --workers 2 --output "$folder/search"
echo
echo "== Why: where the time of the family's largest network goes, by the performance model =="
largest=$(ls -d "$folder"/search/efficientnet-x-small-[0-9] | tail -n 1)
modelwright explain "$largest/architecture.json" --platform x86 --top 3 --tries 6
echo
echo "The report: $folder/search/report.html"
