"""Strategy B: a principle-guided judge, its calibration, measuring and defences."""
