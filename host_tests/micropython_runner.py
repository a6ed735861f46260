"""Runs a file of unit tests on MicroPython, with nothing but modules of the stock firmware.

    micropython -X heapsize=64k -m micropython_runner test_wire [test_name ...]

Each test gives two records, one before and one after it: a record is a line that begins with the ASCII record separator,
then JSON. All else that is printed is the tests' own. The last record is `{"done": tests run}`: without it the file did
not come to its end. The exit code is 1 when a test failed or the file could not be imported.
"""

import gc
import io
import json
import sys

try:  # noqa: SIM105  (a board has no contextlib)
    # First, as in every node: at the end of a long chain of imports it does not fit the stack.
    import picoswarm.compat  # noqa: F401
except ImportError:
    pass  # the tests of this runner do without the library

_SEPARATOR = "\x1e"


def _emit(**record):
    print(_SEPARATOR + json.dumps(record))


def _traceback(error):
    gc.collect()  # what a MemoryError filled is free again by now
    text = io.StringIO()
    sys.print_exception(error, text)
    return text.getvalue()


def _run_test(function):
    """(outcome, text) of one test."""
    try:
        result = function()
        if result is not None:  # a generator or coroutine that never ran would look like success
            return "failed", "the test returned a " + type(result).__name__ + " instead of running to its end"
        return "passed", ""
    except Exception as error:
        if type(error).__name__ == "Skip":
            return "skipped", str(error)
        return "failed", _traceback(error)


def run(module_name, names=()):
    """Run the tests `names` of a module, or all of its tests; returns how many did not pass, import included."""
    # As a node does while it starts (boot.py): between what stays of loading there is no garbage that would tear the heap.
    gc.threshold(512)
    try:
        module = __import__(module_name)
    except Exception as error:
        skipped = type(error).__name__ == "Skip"
        _emit(file="skipped" if skipped else "failed", text=str(error) if skipped else _traceback(error))
        return 0 if skipped else 1
    gc.threshold(-1)
    failed = run_count = 0
    for name in names or sorted(n for n in dir(module) if n.startswith("test_")):
        gc.collect()
        before = gc.mem_alloc()
        _emit(test=name, outcome="started")
        function = getattr(module, name, None)
        outcome, text = _run_test(function) if function else ("failed", "no such test in " + module_name)
        gc.collect()
        _emit(test=name, outcome=outcome, text=text, heap=gc.mem_alloc(), kept=gc.mem_alloc() - before, free=gc.mem_free())
        run_count += 1
        failed += outcome == "failed"
        if function:
            delattr(module, name)  # its code is no burden to the tests behind it; what it left behind was counted
        function = None
    _emit(done=run_count)
    return failed


if __name__ == "__main__":
    sys.exit(1 if run(sys.argv[1], sys.argv[2:]) else 0)
