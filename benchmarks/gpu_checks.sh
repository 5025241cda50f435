#!/bin/sh
# All that wants to be seen on a GPU, in a quarter of an hour: the tests, the race, the engine's share of bare passes, and
# what the planner says of the whole study. `make gpu-checks`; DEVICE=cpu QUICK=1 is a dry run in two minutes.
# What fails is named at the end and the others run all the same. SAVE is the folder of the tables.
cd "$(dirname "$0")/.." || exit 2
DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-.venv/bin/python} SAVE=${SAVE:-results/benchmarks/$DEVICE}
export PYTHONPATH="$PWD" OMP_NUM_THREADS=1
failed=""

check() { # name, seconds allowed, command
    name=$1 limit=$2 began=$(date +%s)
    shift 2
    echo "== $name"
    timeout "$limit" "$@" || failed="$failed $name"
    echo "== $name: $(($(date +%s) - began)) s"
}

if [ -n "$QUICK" ]; then
    race="--quick" study=smoke
    share="--model mini_resnet_vanilla --batch 2 --rounds 1"
else
    race="" study=imagenet
    share="--images 8 --batch 256 --full 1"
fi
check tests 240 "$PYTHON" -m pytest -q tests/test_gpu.py
check race 240 "$PYTHON" benchmarks/race.py --device "$DEVICE" --save "$SAVE" $race
check share 240 "$PYTHON" benchmarks/throughput.py --device "$DEVICE" --save "$SAVE" $share
check plan 120 "$PYTHON" -m xailib.workflow plan $study --device "$DEVICE"
[ -z "$failed" ] && echo "All passed on $DEVICE; tables in $SAVE" && exit 0
echo "Failed on $DEVICE:$failed"
exit 1
