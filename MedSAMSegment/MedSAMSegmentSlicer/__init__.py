"""Between MRML and MedSAMSegmentLib: nodes and files in, segments out. Imports slicer and vtk, never qt."""
