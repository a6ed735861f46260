"""Long messages are signed in slices; here without the vectors, which would leave no room for them on a board."""

from picoswarm import ed25519
from picoswarm.compat import KERNELS
from support import Skip

RUNTIMES = ("cpython", "micropython", "qemu")


def _run(job):
    while job.step():
        pass
    return job.result


def test_a_long_message_is_hashed_in_slices():
    if KERNELS != "viper":
        raise Skip("the other back ends hash in one go; this runtime takes " + KERNELS)
    seed = bytes(range(32))
    public = _run(ed25519.PublicKey(seed))

    message = bytes(5000)

    def steps(message):
        job = ed25519.Sign(seed, public, message)
        n = 1
        while job.step():
            n += 1
        return n, job.result

    few, _ = steps(message[:2000])
    many, signature = steps(message)
    assert many == few + 4  # the message is hashed twice, each time in three slices instead of one
    assert _run(ed25519.Verify(public, signature, message)) is True
