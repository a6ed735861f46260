# Freezes the library and this board's profile into a firmware image.
include("../../firmware/manifest.py")
module("profile.py", base_path=".")
