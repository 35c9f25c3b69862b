"""SAM and MedSAM on medical images: geometry, intensity, models, inference and propagation.

Plain numpy and torch: nothing here imports slicer, vtk or qt, and importing this package imports neither torch nor
transformers. ``MedSAMSegmentSlicer`` connects it to MRML.
"""

__version__ = "0.1.0"
