"""`forgestream demo`: the main job on real parts, watched from outside, judged at the end."""
