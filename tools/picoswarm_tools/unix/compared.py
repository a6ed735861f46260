# What the programs of compare_*.py share: the reading that they send, and how they tell what they measured.
import gc
import json

TOPIC = "house/cellar/temperature"
READING = bytes(range(32))


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def tell(**facts):
    print(json.dumps(facts))


def median(values):
    return sorted(values)[len(values) // 2]
