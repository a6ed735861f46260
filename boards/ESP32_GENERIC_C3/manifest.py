# Freezes the library and this board's profile, or the one in the folder $PICOSWARM_PROFILE, into a firmware image.
import os

include("../../firmware/manifest.py")
module("profile.py", base_path=os.environ.get("PICOSWARM_PROFILE", "."))
