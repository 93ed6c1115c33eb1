"""Strategy B: a principle-guided judge, its calibration, and the adversary that refines it."""
